import { strictEqual } from "node:assert";
import { generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { BrokerError } from "@mayfly/spec";
import { createFakeClock, createFakeSealer } from "@mayfly/testkit";
import { createDpopProofs } from "../../packages/identity/src/dpop-proofs.ts";
import { damagedText } from "./damaged-text.ts";
import type { FuzzedParser } from "./fuzzed-parser.ts";

const ISSUER = "https://mayfly.test";
const clock = createFakeClock();
const written = (json: string): string => JSON.stringify(JSON.parse(json) as unknown);

/** DPoP proofs: sound ones, damaged ones, and ones that are signed over what is damaged. */
export function dpopProofParser(): FuzzedParser {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const jwk = publicKey.export({ format: "jwk" });
  const signed = (header: string, claims: string): string => {
    const input = [header, claims].map((part) => Buffer.from(part).toString("base64url")).join(".");
    return `${input}.${sign(null, Buffer.from(input), privateKey).toString("base64url")}`;
  };
  const iat = Math.floor(clock.now() / 1000);
  const header = JSON.stringify({ typ: "dpop+jwt", alg: "EdDSA", jwk });
  const claims = JSON.stringify({ jti: "j", htm: "POST", htu: `${ISSUER}/token`, iat });
  const proofs = createDpopProofs({
    issuer: ISSUER,
    uses: { record: async () => true },
    sealer: createFakeSealer(),
    settings: { skewSeconds: 5, nonceRequired: false },
  });
  const sound = signed(header, claims);
  return {
    name: "dpop_proof",
    inputs: fc.oneof(
      damagedText([sound]),
      fc
        .tuple(damagedText([header]), damagedText([claims]))
        .map(([one, other]) => signed(one, other)),
    ),
    check: async (proof) => {
      const presented = { proof, method: "POST", path: "/token", token: null };
      const accepted = await proofs.check(presented, clock.now()).catch((error: unknown) => {
        if (BrokerError.is(error) && error.code === "invalid_dpop_proof") return null;
        throw error;
      });
      if (accepted === null) return false;
      const parts = proof.split(".").map((part) => Buffer.from(part, "base64url"));
      strictEqual(parts.map((part) => part.toString("base64url")).join("."), proof);
      // What was understood, written anew and signed by the same key, is a proof of the same.
      const [one = "{}", other = "{}"] = parts.map((part) => part.toString());
      const anew = signed(...([one, other].map(written) as [string, string]));
      const again = await proofs.check({ ...presented, proof: anew }, clock.now());
      strictEqual(again.confirmation, accepted.confirmation);
      return true;
    },
  };
}

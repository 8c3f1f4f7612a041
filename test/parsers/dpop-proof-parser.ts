import { generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { BrokerError } from "@mayfly/spec";
import { createFakeClock, createFakeSealer } from "@mayfly/testkit";
import { createDpopProofs } from "../../packages/identity/src/dpop-proofs.ts";
import { checkSame } from "./check-same.ts";
import { damagedText } from "./damaged-text.ts";
import type { FuzzedParser } from "./fuzzed-parser.ts";
import { repeated, type Shape } from "./grown-text.ts";

const ISSUER = "https://mayfly.test";
/** Node's of a header, all headers together; a proof may have a quarter of it. */
const HEADERS_BYTES_MAX = 16 * 1024;
const PROOF_CHARACTERS_MAX = 4096;
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
  const check = (proof: string) =>
    proofs.check({ proof, method: "POST", path: "/token", token: null }, clock.now());
  return {
    name: "dpop_proof",
    sound: [sound],
    limit: PROOF_CHARACTERS_MAX,
    shapes: [
      ...largeClaims(claims).map((shape) => signedShape((text) => signed(header, text), shape)),
      ...largeHeaders(header).map((shape) => signedShape((text) => signed(text, claims), shape)),
      (size) => repeated(sound, "A", "")(size === PROOF_CHARACTERS_MAX ? HEADERS_BYTES_MAX : size),
    ],
    inputs: fc.oneof(
      damagedText([sound]),
      fc
        .tuple(damagedText([header]), damagedText([claims]))
        .map(([one, other]) => signed(one, other)),
    ),
    parse: async (proof) => {
      const accepted = await check(proof).catch((error: unknown) => {
        if (BrokerError.is(error) && error.code === "invalid_dpop_proof") return null;
        throw new Error("dpop_proof threw what is not its own error", { cause: error });
      });
      if (accepted === null) return null;
      return async () => {
        const parts = proof.split(".").map((part) => Buffer.from(part, "base64url"));
        checkSame(parts.map((part) => part.toString("base64url")).join("."), proof);
        // What was understood, written anew and signed by the same key, is a proof of the same.
        const [one = "{}", other = "{}"] = parts.map((part) => part.toString());
        const again = await check(signed(written(one), written(other)));
        checkSame(again.confirmation, accepted.confirmation);
      };
    },
  };
}

/** Of a part, whose text is a third longer in the proof; the other part has its room as well. */
const signedShape =
  (sign: (text: string) => string, shape: Shape): Shape =>
  (size) =>
    sign(shape(Math.max(0, Math.floor(((size - sign("").length) * 3) / 4))));

/** Sound claims, one of which is large, or which are many. */
function largeClaims(claims: string): readonly Shape[] {
  const open = claims.slice(0, -1);
  return [
    repeated(`${open},"x":"`, "a", '"}'),
    repeated(`${open},"x":"`, "\\ud83e\\udd9f", '"}'),
    repeated(`${open},`, (n) => `"k${n}":${n},`, '"x":0}'),
    repeated(`${open},`, '"jti":"j",', '"x":0}'),
    repeated(claims.replace("/token", "/token?").slice(0, -1), " ", "}"),
    repeated(`${open},"htu":"${ISSUER}/token?`, "a/../", '"}'),
    repeated(`${open},"htu":"${ISSUER}/`, "./", 'token"}'),
    repeated(`${open},"htu":"https://`, "a.", 'test/token"}'),
    repeated(`${open},"iat":1`, "0", "}"),
    repeated(`${open},"jti":"`, "j", '"}'),
  ];
}

/** Keys that whoever sends them picks: numbers that are dear to read. */
function largeHeaders(header: string): readonly Shape[] {
  const rsa = (n: string, e: string): string =>
    JSON.stringify({ typ: "dpop+jwt", alg: "PS256", jwk: { kty: "RSA", n, e } });
  const at = (text: string): Shape => {
    const [before = "", after = ""] = text.split("*");
    return repeated(before, "_", after);
  };
  return [
    at(rsa("*", "AQAB")),
    at(rsa("*w", "_____w")),
    at(rsa("_".repeat(342), "*")),
    at(header.replace(/"x":"/, '"x":"*')),
    at(header.replace(/"typ"/, '"kid":"*","typ"')),
    repeated(`${header.slice(0, -1)},`, (n) => `"k${n}":${n},`, '"x":0}'),
  ];
}

import {
  asBundleKey,
  createFakeClock,
  createTestSigningKey,
  createTestX509Authority,
} from "@mayfly/testkit";
import { parseShallowJson } from "@mayfly/spec";
import { SVID_ALGORITHMS } from "../../packages/identity/src/algorithms.ts";
import {
  parseJwkSet,
  type JwkSetRules,
  type KeySet,
} from "../../packages/identity/src/parse-jwk-set.ts";
import { Refusal } from "../../packages/identity/src/refusal.ts";
import { checkSame } from "./check-same.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";
import { repeated, type Shape } from "./grown-text.ts";

/** Key sets of issuers and bundles of trust domains, as they are fetched. */
export const keySetParsers = (): readonly FuzzedParser[] => [
  keySetParser("jwks", { algorithms: ["RS256", "ES256", "ES384", "EdDSA"], profile: "oidc" }),
  keySetParser("bundle", { algorithms: SVID_ALGORITHMS, profile: "spiffe" }),
];

/** Of a document that is fetched: 512 KiB. */
const DOCUMENT_BYTES_MAX = 512 * 1024;

const JWKS = {
  oidc: (["ES256", "RS256", "EdDSA", "ES512"] as const).map(
    (algorithm, n) => createTestSigningKey(`k${n}`, algorithm).publicJwk,
  ),
  spiffe: [
    ...(["ES384", "RS256"] as const).map((algorithm, n) =>
      asBundleKey(createTestSigningKey(`k${n}`, algorithm)),
    ),
    createTestX509Authority({ clock: createFakeClock() }).bundleKey(),
  ],
};

function keySetParser(name: string, rules: JwkSetRules): FuzzedParser {
  const keys = JWKS[rules.profile];
  return throwingParser({
    name,
    sound: [
      ...keys.map((jwk) => JSON.stringify({ keys: [jwk], spiffe_sequence: 1 })),
      JSON.stringify({ keys: keys.slice(0, 2) }),
      JSON.stringify({ keys }),
      JSON.stringify({ keys: [{ kty: "oct", k: "AA" }, null, [], "x"] }),
    ],
    limit: DOCUMENT_BYTES_MAX,
    shapes: [...keys.flatMap(manyOf), ...hugeNumbers(rules.profile), ...keys.flatMap(longMembers)],
    parse: (text) => parseJwkSet(parseShallowJson(text), rules),
    // The documents come through this JSON parser, whose own refusal is before this one.
    isOwn: (error) => error instanceof Refusal || error instanceof SyntaxError,
    again: (accepted) => {
      checkSameKeys(parseJwkSet(writtenAnew(accepted, rules.profile), rules), accepted);
    },
  });
}

const manyOf = (jwk: object): readonly Shape[] => [
  repeated('{"keys":[', (n) => `${JSON.stringify({ ...jwk, kid: `k${n}` })},`, "{}]}"),
  repeated('{"keys":[', `${JSON.stringify(jwk)},`, "{}]}"),
  repeated(`{"keys":[${JSON.stringify(jwk)}],`, (n) => `"k${n}":0,`, '"x":0}'),
];

/** Moduli, exponents and coordinates that an issuer could make us work on. */
const hugeNumbers = (profile: JwkSetRules["profile"]): readonly Shape[] => {
  const use = profile === "spiffe" ? '"use":"jwt-svid","kid":"k"' : '"use":"sig","alg":"RS256"';
  const rsa = (n: string, e: string): readonly [string, string] => [
    `{"keys":[{"kty":"RSA",${use},"e":"${e}","n":"${n}`,
    '"}]}',
  ];
  const [before, after] = rsa("", "AQAB");
  const [whole] = rsa("w", "AQAB");
  return [
    repeated(before, "_", after),
    repeated(whole, "A", after),
    repeated(`{"keys":[{"kty":"RSA",${use},"n":"AQAB","e":"`, "_", '"}]}'),
    repeated(`{"keys":[{"kty":"EC","crv":"P-384",${use},"y":"AQ","x":"`, "_", '"}]}'),
    repeated(`{"keys":[{"kty":"OKP","crv":"Ed25519",${use},"x":"`, "_", '"}]}'),
    // A hundred keys of 8192 bits, each with a large exponent.
    repeated('{"keys":[', `{"kty":"RSA",${use},"e":"_____w","n":"${"_".repeat(1365)}"},`, "{}]}"),
  ];
};

const longMembers = (jwk: object): readonly Shape[] =>
  Object.entries(jwk).map(([member, value]: readonly [string, unknown]) => {
    const [before = "", after = ""] = JSON.stringify({
      keys: [{ ...jwk, [member]: Array.isArray(value) ? ["\u0000"] : "\u0000" }],
    }).split("\\u0000");
    return repeated(before, "A", after);
  });

/** What was understood, in words of its own. */
function writtenAnew({ keys, authorities }: KeySet, profile: JwkSetRules["profile"]): unknown {
  return {
    keys: [
      ...keys.map(({ kid, algorithms, key }) => ({
        ...key.export({ format: "jwk" }),
        ...(kid === null ? {} : { kid }),
        ...(algorithms.length === 1 ? { alg: algorithms[0] } : {}),
        use: profile === "spiffe" ? "jwt-svid" : "sig",
      })),
      ...authorities.map(({ x509, publicKey }) => ({
        ...publicKey.export({ format: "jwk" }),
        use: "x509-svid",
        x5c: [x509.raw.toString("base64")],
      })),
    ],
  };
}

function checkSameKeys(again: KeySet, accepted: KeySet): void {
  const ders = ({ authorities }: KeySet): readonly Buffer[] => authorities.map((it) => it.x509.raw);
  checkSame(ders(again), ders(accepted));
  const named = ({ keys }: KeySet): unknown =>
    keys.map(({ kid, algorithms }) => ({ kid, algorithms }));
  checkSame(named(again), named(accepted));
  for (const [n, { key }] of accepted.keys.entries()) {
    checkSame(again.keys[n]?.key.equals(key), true);
  }
}

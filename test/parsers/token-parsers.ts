import fc from "fast-check";
import { createTestSigningKey, signCompact, vendorClaims } from "@mayfly/testkit";
import { OIDC_ALGORITHMS } from "../../packages/identity/src/algorithms.ts";
import { checkHeader } from "../../packages/identity/src/check-header.ts";
import {
  parseCompactJwt,
  parseJsonObject,
  TOKEN_BYTES_MAX,
} from "../../packages/identity/src/parse-compact-jwt.ts";
import { Refusal } from "../../packages/identity/src/refusal.ts";
import { checkSame } from "./check-same.ts";
import { damagedText } from "./damaged-text.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";
import { repeated, type Shape } from "./grown-text.ts";

/** Tokens, and each of their parts, as they are read before any key is looked for. */
export const tokenParsers = (): readonly FuzzedParser[] => [jwt, jwtHeader, jwtPayload];

const isRefusal = (error: unknown): boolean => error instanceof Refusal;
const base64url = (text: string): string => Buffer.from(text).toString("base64url");
const encoded = (value: unknown): string => base64url(JSON.stringify(value));

const key = createTestSigningKey("k1", "ES256");
const ALL_CLAIMS = Object.values(vendorClaims(1_700_000_000)).map((claims) => ({
  aud: "a",
  exp: 9,
  ...claims,
}));
const TOKENS = ALL_CLAIMS.map((claims) =>
  signCompact(key, { alg: "ES256", kid: "k1", typ: "JWT" }, claims),
);
const HEADERS = [
  '{"alg":"ES256","kid":"k1","typ":"JWT"}',
  '{"alg":"RS256","x5t":"AA"}',
  '{"alg":"EdDSA","kid":"a b"}',
  '{"alg":"nOnE","jwk":{"kty":"oct"}}',
];
const PAYLOADS = [
  '{"iss":"https://a.test","sub":"s","aud":["a"],"exp":1e9}',
  '{"exp":1,"act":{"sub":"a","act":{"sub":"b"}},"may_act":{"sub":"c"},"\\u0061ud":"a"}',
  ...ALL_CLAIMS.map((claims) => JSON.stringify(claims)),
];

/** JSON that is large in its own ways, whatever is made of it. */
const json = (made: (text: string) => string): readonly Shape[] =>
  [
    repeated("{", (n) => `"k${n}":${n},`, '"exp":1}'),
    repeated("{", '"exp":1,', '"exp":1}'),
    repeated('{"exp":1,"a":', "[", ""),
    repeated('{"a":', '{"a":', ""),
    repeated('{"exp":', "9", "}"),
    repeated('{"exp":1e', "9", "}"),
    repeated('{"exp":0.', "0", "1}"),
    repeated('{"aud":[', '"a",', '"a"]}'),
    repeated('{"sub":"', "\\ud83e\\udd9f", '"}'),
    nested('{"exp":1,"a":', "[", "]", "}"),
    nested("", '{"a":', "}", ""),
  ].map((shape) => (size) => made(shape(Math.floor((size * 3) / 4))));

/** Sound, however deep. */
function nested(before: string, opens: string, closes: string, after: string): Shape {
  return (size) => {
    const room = size - before.length - after.length - 1;
    const depth = Math.max(0, Math.floor(room / (opens.length + closes.length)));
    return `${before}${opens.repeat(depth)}0${closes.repeat(depth)}${after}`;
  };
}

/** Damage inside a part, which damage to the encoded text would seldom make. */
const damagedParts = fc
  .tuple(damagedText(HEADERS), damagedText(PAYLOADS), fc.constantFrom("", "AA", "AAAA", "AB"))
  .map(([header, claims, signature]) => [...[header, claims].map(base64url), signature].join("."));

const jwt = throwingParser({
  name: "jwt",
  sound: TOKENS,
  limit: TOKEN_BYTES_MAX,
  shapes: [
    ...json((text) => `${base64url(text)}.e30.AA`),
    ...json((text) => `e30.${base64url(text)}.AA`),
    repeated("e30.e30.", "A", ""),
  ],
  inputs: fc.oneof(damagedText(TOKENS), damagedParts),
  parse: parseCompactJwt,
  isOwn: isRefusal,
  again: ({ compact, header, claims }, input) => {
    checkSame(compact, input);
    const parts = input.split(".").map((part) => Buffer.from(part, "base64url"));
    checkSame(parts.map((part) => part.toString("base64url")).join("."), input);
    const anew = parseCompactJwt(`${encoded(header)}.${encoded(claims)}.AA`);
    // As text, in which minus zero is zero.
    checkSame(encoded(anew.header), encoded(header));
    checkSame(encoded(anew.claims), encoded(claims));
  },
});

const HEADER_RULES = {
  algorithms: OIDC_ALGORITHMS,
  members: ["alg", "kid", "typ", "x5t"],
  typeAllowed: (typ: string | null): boolean => typ === null || typ === "JWT",
};
const jwtHeader = throwingParser({
  name: "jwt_header",
  sound: HEADERS,
  limit: TOKEN_BYTES_MAX,
  shapes: [
    ...json((text) => text),
    repeated('{"alg":"ES256","kid":"', " ", 'a"}'),
    repeated('{"alg":"ES256","kid":"', "a", '"}'),
    repeated('{"alg":"', "ES256", '"}'),
  ],
  parse: (text) => checkHeader(parseJsonObject(Buffer.from(text), "the header"), HEADER_RULES),
  isOwn: isRefusal,
  again: ({ algorithm, kid }) => {
    const anew = kid === null ? { alg: algorithm } : { alg: algorithm, kid };
    const again = checkHeader(anew, HEADER_RULES);
    checkSame(again.algorithm, algorithm);
    checkSame(again.kid, kid);
  },
});

/** Bytes, as Latin-1: some of them are no UTF-8. */
const jwtPayload = throwingParser({
  name: "jwt_payload",
  sound: PAYLOADS,
  limit: TOKEN_BYTES_MAX,
  shapes: json((text) => text),
  inputs: fc.oneof(
    damagedText(PAYLOADS).map((text) => Buffer.from(text).toString("latin1")),
    damagedText([...PAYLOADS, '{"a":"\u00c3\u00a9\u00f0\u009f\u00a6\u009f"}']).map((text) =>
      Buffer.from(text, "latin1").toString("latin1"),
    ),
  ),
  parse: (bytes) => parseJsonObject(Buffer.from(bytes, "latin1"), "the payload"),
  isOwn: isRefusal,
  again: (claims, bytes) => {
    // Every byte of it is UTF-8: it is what the text of it is written as.
    const given = Buffer.from(bytes, "latin1");
    checkSame(Buffer.from(given.toString()).equals(given), true);
    const written = JSON.stringify(claims);
    checkSame(JSON.stringify(parseJsonObject(Buffer.from(written), "the payload")), written);
  },
});

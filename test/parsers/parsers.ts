import { deepStrictEqual, strictEqual } from "node:assert";
import fc from "fast-check";
import { BrokerError } from "@mayfly/spec";
import {
  asBundleKey,
  createFakeClock,
  createTestSigningKey,
  createTestX509Authority,
  signCompact,
  vendorClaims,
} from "@mayfly/testkit";
import { OIDC_ALGORITHMS, SVID_ALGORITHMS } from "../../packages/identity/src/algorithms.ts";
import { checkHeader } from "../../packages/identity/src/check-header.ts";
import { parseCompactJwt, parseJsonObject } from "../../packages/identity/src/parse-compact-jwt.ts";
import { parseJwkSet, type JwkSetRules } from "../../packages/identity/src/parse-jwk-set.ts";
import { Refusal } from "../../packages/identity/src/refusal.ts";
import { parseSpiffeId } from "../../packages/spec/src/spiffe-id.ts";
import { parseTaskDetails } from "../../packages/core/src/descriptor/task-details.ts";
import { parseForm } from "../../services/broker/src/http/form.ts";
import { parseStrictJson } from "../../services/broker/src/http/strict-json.ts";
import { certificateParser } from "./certificate-parser.ts";
import { damagedText } from "./damaged-text.ts";
import { dpopProofParser } from "./dpop-proof-parser.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";
import { headerParsers } from "./header-parsers.ts";

const isRefusal = (error: unknown): boolean => error instanceof Refusal;
const isBrokerError = (error: unknown): boolean => BrokerError.is(error);

const TYPE = "application/x-www-form-urlencoded";
const FORMS = [
  "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=a.b.c" +
    "&subject_token_type=urn:ietf:params:oauth:token-type:jwt&authorization_details=%5B%7B%7D%5D",
  "resource=https://a.test&resource=https://b.test&audience=x&audience=y&scope=",
  "a=1&b=&=c&d&a%20b=%F0%9F%A6%9F",
];
const form = throwingParser({
  name: "form",
  // A body is decoded from UTF-8, which has no unpaired surrogates.
  inputs: damagedText(FORMS).map((body) => body.toWellFormed()),
  parse: (body) => parseForm(TYPE, body),
  isOwn: isBrokerError,
  again: (accepted, body) => {
    // A question mark at its beginning would be dropped, as of an address.
    const pairs = [...new URLSearchParams(`&${body}`)];
    const anew = parseForm(TYPE, new URLSearchParams(pairs).toString());
    for (const [name] of pairs) {
      const values = pairs.filter(([each, value]) => each === name && value !== "");
      deepStrictEqual(
        accepted.all(name),
        values.map(([, value]) => value),
      );
      deepStrictEqual(anew.all(name), accepted.all(name));
    }
  },
});

const key = createTestSigningKey("k1", "ES256");
const TOKENS = Object.values(vendorClaims(1_700_000_000)).map((claims) =>
  signCompact(key, { alg: "ES256", kid: "k1", typ: "JWT" }, { aud: "a", exp: 9, ...claims }),
);
const encoded = (value: unknown): string =>
  Buffer.from(JSON.stringify(value)).toString("base64url");
/** Damage inside a part, which damage to the encoded text would seldom make. */
const damagedParts = fc
  .tuple(
    damagedText(['{"alg":"ES256","kid":"k1","typ":"JWT"}', '{"alg":"none"}', "{}"]),
    damagedText(['{"iss":"https://a.test","sub":"s","aud":["a"],"exp":1e9}', "{}"]),
    fc.constantFrom("", "AA", "AAAA", "AB"),
  )
  .map(([header, claims, signature]) =>
    [...[header, claims].map((part) => Buffer.from(part).toString("base64url")), signature].join(
      ".",
    ),
  );
const token = throwingParser({
  name: "jwt",
  inputs: fc.oneof(damagedText(TOKENS), damagedParts),
  parse: parseCompactJwt,
  isOwn: isRefusal,
  again: ({ compact, header, claims }, input) => {
    strictEqual(compact, input);
    const parts = input.split(".").map((part) => Buffer.from(part, "base64url"));
    strictEqual(parts.map((part) => part.toString("base64url")).join("."), input);
    const anew = parseCompactJwt(`${encoded(header)}.${encoded(claims)}.AA`);
    // As text, in which minus zero is zero.
    strictEqual(encoded(anew.header), encoded(header));
    strictEqual(encoded(anew.claims), encoded(claims));
  },
});

const HEADER_RULES = {
  algorithms: OIDC_ALGORITHMS,
  members: ["alg", "kid", "typ", "x5t"],
  typeAllowed: (typ: string | null): boolean => typ === null || typ === "JWT",
};
const header = throwingParser({
  name: "jwt_header",
  inputs: damagedText([
    '{"alg":"ES256","kid":"k1","typ":"JWT"}',
    '{"alg":"RS256","x5t":"AA"}',
    '{"alg":"EdDSA","kid":"a b"}',
    '{"alg":"nOnE","jwk":{"kty":"oct"}}',
  ]),
  parse: (text) => checkHeader(parseJsonObject(Buffer.from(text), "the header"), HEADER_RULES),
  isOwn: isRefusal,
  again: ({ algorithm, kid }) => {
    const anew = kid === null ? { alg: algorithm } : { alg: algorithm, kid };
    deepStrictEqual(checkHeader(anew, HEADER_RULES), { algorithm, kid });
  },
});

const spiffeId: FuzzedParser = {
  name: "spiffe_id",
  inputs: damagedText([
    "spiffe://acme.test",
    "spiffe://acme.test/pay/biller",
    "spiffe://a-b_c.d/Ns/0.1/..a/a..",
    `spiffe://${"a".repeat(255)}/${"b/".repeat(890)}b`,
  ]),
  check: (text) => {
    const id = parseSpiffeId(text);
    if (id === null) return false;
    strictEqual(`spiffe://${id.trustDomain}${id.path}`, text);
    strictEqual(id.id, text);
    deepStrictEqual(parseSpiffeId(id.id), id);
    return true;
  },
};

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
function jwkSet(name: string, rules: JwkSetRules): FuzzedParser {
  const keys = JWKS[rules.profile];
  return throwingParser({
    name,
    inputs: damagedText([
      ...keys.map((jwk) => JSON.stringify({ keys: [jwk], spiffe_sequence: 1 })),
      JSON.stringify({ keys: keys.slice(0, 2) }),
      JSON.stringify({ keys }),
      JSON.stringify({ keys: [{ kty: "oct", k: "AA" }, null, [], "x"] }),
    ]),
    parse: (text) => parseJwkSet(JSON.parse(text) as unknown, rules),
    // The documents come through a JSON parser, whose own refusal is before this one.
    isOwn: (error) => isRefusal(error) || error instanceof SyntaxError,
    again: (accepted) => {
      const use = rules.profile === "spiffe" ? "jwt-svid" : "sig";
      const anew = accepted.keys.map(({ kid, algorithms, key: of }) => ({
        ...of.export({ format: "jwk" }),
        ...(kid === null ? {} : { kid }),
        ...(algorithms.length === 1 ? { alg: algorithms[0] } : {}),
        use,
      }));
      const authorities = accepted.authorities.map(({ x509, publicKey }) => ({
        ...publicKey.export({ format: "jwk" }),
        use: "x509-svid",
        x5c: [x509.raw.toString("base64")],
      }));
      const again = parseJwkSet({ keys: [...anew, ...authorities] }, rules);
      deepStrictEqual(
        again.authorities.map(({ x509 }) => x509.raw),
        accepted.authorities.map(({ x509 }) => x509.raw),
      );
      deepStrictEqual(
        again.keys.map(({ kid, algorithms }) => ({ kid, algorithms })),
        accepted.keys.map(({ kid, algorithms }) => ({ kid, algorithms })),
      );
      for (const [n, { key: of }] of accepted.keys.entries()) {
        strictEqual(again.keys[n]?.key.equals(of), true);
      }
    },
  });
}

const DETAILS = [
  '[{"type":"mayfly-task","goal":"pay","deadline":"15m","credentials":[{"role":"a/b"}]}]',
  '[{"type":"mayfly-task","version":1,"goal":"x","ref":"J-1","deadline":900,"idle_timeout":"60s",' +
    '"initiator":"bob","targets":["db:x"],"credentials":[{"role":"a/b","ttl":"5m","issue":"later",' +
    '"params":{"groups":["r"]}}]}]',
  '[{"type":"mayfly-task","task":"task_019977ff-0000-7000-8000-000000000000",' +
    '"credentials":[{"role":"a/b"}]}]',
];
const authorizationDetails = throwingParser({
  name: "authorization_details",
  inputs: damagedText(DETAILS),
  parse: (text) => parseStrictJson(text, "authorization_details", "invalid_task"),
  isOwn: isBrokerError,
  again: (accepted, text) => {
    deepStrictEqual(accepted, JSON.parse(text) as unknown);
    deepStrictEqual(parseStrictJson(JSON.stringify(accepted), "x", "invalid_task"), accepted);
  },
});

const LIMITS = { taskSecondsMax: 86_400 };
const descriptor = throwingParser({
  name: "descriptor",
  inputs: damagedText(DETAILS.map((text) => text.slice(1, -1))),
  parse: (text) => {
    const value = parseStrictJson(text, "authorization_details", "invalid_task");
    return { value, details: parseTaskDetails(value, LIMITS) };
  },
  isOwn: isBrokerError,
  again: ({ value, details }) => {
    const anew: unknown = JSON.parse(JSON.stringify(value));
    deepStrictEqual(parseTaskDetails(anew, LIMITS), details);
    if (details.kind !== "open") return;
    // What was understood, written in the descriptor's own words, is understood as the same.
    const { descriptor: of } = details;
    const written = {
      type: "mayfly-task",
      version: of.version,
      goal: of.goal,
      ...(of.ref === null ? {} : { ref: of.ref }),
      deadline: of.deadlineSeconds,
      idle_timeout: of.idleTimeoutSeconds,
      ...(of.claimedInitiator === null ? {} : { initiator: of.claimedInitiator }),
      targets: of.targets,
      credentials: of.credentials.map(({ role, params, ttlSeconds, issue }) => ({
        role,
        params,
        ...(ttlSeconds === null ? {} : { ttl: ttlSeconds }),
        issue,
      })),
    };
    const reread = parseTaskDetails(JSON.parse(JSON.stringify(written)), LIMITS);
    deepStrictEqual(reread.kind === "open" ? reread.descriptor : null, of);
  },
});

/** Every parser that meets what strangers send, before anybody is authenticated. */
export const PARSERS: readonly FuzzedParser[] = [
  form,
  token,
  header,
  spiffeId,
  jwkSet("jwks", { algorithms: ["RS256", "ES256", "ES384", "EdDSA"], profile: "oidc" }),
  jwkSet("bundle", { algorithms: SVID_ALGORITHMS, profile: "spiffe" }),
  authorizationDetails,
  descriptor,
  certificateParser(),
  dpopProofParser(),
  ...headerParsers(),
];

import { z } from "zod";

/**
 * What a role may not fix: who, when, for whom, by whose key and for which act (RFC 7519 section
 * 4.1, RFC 9068 section 2.2, RFC 8693 section 4, RFC 7800, RFC 9396, OpenID Connect Core section
 * 2), and what is this installation's own.
 */
const RESERVED: ReadonlySet<string> = new Set([
  "iss",
  "sub",
  "aud",
  "exp",
  "nbf",
  "iat",
  "jti",
  "client_id",
  "azp",
  "scope",
  "act",
  "may_act",
  "cnf",
  "auth_time",
  "acr",
  "amr",
  "nonce",
  "sid",
  "at_hash",
  "c_hash",
  "authorization_details",
  "events",
  "sub_id",
  "txn",
  "task",
  "active",
  "token_type",
  "username",
  "__proto__",
]);
const OWN_PREFIX = "mayfly_";
const NAME = /^[\x21-\x7e]{1,128}$/;
const CLAIMS_MAX = 16;
const DEPTH_MAX = 4;
const CHARACTERS_MAX = 2_048;

const value = z
  .unknown()
  .refine((input) => isPlain(input, 0), { message: "expected JSON, at most 4 deep" });

/** The claims that a role fixes, by name. */
export const fixedClaims = z
  .record(
    z
      .string()
      .regex(NAME, "expected 1 to 128 printable characters without a space")
      .refine((name) => !RESERVED.has(name) && !name.startsWith(OWN_PREFIX), {
        message: "a claim that the broker alone may make",
      }),
    value,
  )
  .refine((claims) => Object.keys(claims).length <= CLAIMS_MAX, {
    message: `expected at most ${CLAIMS_MAX} claims`,
  })
  .refine((claims) => JSON.stringify(claims).length <= CHARACTERS_MAX, {
    message: `expected claims of at most ${CHARACTERS_MAX} characters`,
  });

function isPlain(input: unknown, depth: number): boolean {
  if (input === null || typeof input === "boolean") return true;
  if (typeof input === "string") return input.isWellFormed();
  if (typeof input === "number") return Number.isFinite(input);
  if (typeof input !== "object" || depth === DEPTH_MAX) return false;
  return Object.values(input).every((each) => isPlain(each, depth + 1));
}

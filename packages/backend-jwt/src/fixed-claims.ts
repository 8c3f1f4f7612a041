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
/**
 * What a verifier takes for a fact about who it speaks with: the standard claims of OpenID Connect
 * Core section 5.1 and the aggregated ones of 5.6.2, identity assurance, the names by which Entra
 * ID, Okta, Cognito and Cloud Foundry tell users and clients, and those that .NET takes for a name,
 * an identifier, an account or an actor unless told otherwise (the inbound map of its JWT handler:
 * `nameid` is to it what `sub` is). `groups`, `roles` and `entitlements` (RFC 9068 section 2.2.3.1)
 * are authority, which a role is there to give.
 */
const OF_SOMEBODY: ReadonlySet<string> = new Set([
  "name",
  "given_name",
  "family_name",
  "middle_name",
  "nickname",
  "preferred_username",
  "profile",
  "picture",
  "website",
  "email",
  "email_verified",
  "gender",
  "birthdate",
  "zoneinfo",
  "locale",
  "phone_number",
  "phone_number_verified",
  "address",
  "updated_at",
  "_claim_names",
  "_claim_sources",
  "verified_claims",
  "sub_jwk",
  "upn",
  "unique_name",
  "oid",
  "tid",
  "appid",
  "cid",
  "uid",
  "user_id",
  "user_name",
  "login_hint",
  "verified_primary_email",
  "verified_secondary_email",
  "onprem_sid",
  "puid",
  "cognito:username",
  "nameid",
  "actort",
  "commonname",
  "ppid",
  "primarysid",
  "winaccountname",
  "adfs1email",
  "adfs1upn",
  "http://schemas.microsoft.com/identity/claims/objectidentifier",
  "http://schemas.microsoft.com/identity/claims/tenantid",
  "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarysid",
  "http://schemas.microsoft.com/ws/2008/06/identity/claims/windowsaccountname",
]);
/** Claim types of WS-Federation, to which some frameworks map names: who, and who acts. */
const WS_IDENTITY = [
  "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/",
  "http://schemas.xmlsoap.org/ws/2009/09/identity/claims/",
  "http://schemas.xmlsoap.org/claims/commonname",
  "http://schemas.xmlsoap.org/claims/emailaddress",
  "http://schemas.xmlsoap.org/claims/upn",
] as const;
const OWN_PREFIX = "mayfly_";
const NAME = /^[\x21-\x7e]{1,128}$/;
const CLAIMS_MAX = 16;
const DEPTH_MAX = 4;
const CHARACTERS_MAX = 2_048;

const value = z
  .unknown()
  .refine((input) => isPlain(input, 0), { message: "expected JSON, at most 4 deep" });

/** The claims that a role fixes, by name; a grant on record may have any that were allowed. */
export const grantedClaims = z
  .record(
    z
      .string()
      .regex(NAME, "expected 1 to 128 printable characters without a space")
      .refine((name) => !RESERVED.has(name.toLowerCase()) && !name.startsWith(OWN_PREFIX), {
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

/**
 * What a role may fix. Its tokens are each agent's who may draw them, so nothing in it may say who
 * somebody is: an API would believe that of whoever presents the token.
 */
export const fixedClaims = grantedClaims.superRefine((claims, context) => {
  for (const name of Object.keys(claims)) {
    if (!saysWho(name)) continue;
    const message =
      "a claim about a person or a client, which no role may fix for all who draw its tokens";
    context.addIssue({ code: "custom", path: [name], message });
  }
});

/** However it is spelled: some verifiers compare names without their case. */
function saysWho(spelled: string): boolean {
  const name = spelled.toLowerCase();
  return OF_SOMEBODY.has(name) || WS_IDENTITY.some((prefix) => name.startsWith(prefix));
}

function isPlain(input: unknown, depth: number): boolean {
  if (input === null || typeof input === "boolean") return true;
  if (typeof input === "string") return input.isWellFormed();
  // A minus zero is written as 0, so that what was judged would not be what is signed.
  if (typeof input === "number") return Number.isFinite(input) && !Object.is(input, -0);
  if (typeof input !== "object" || depth === DEPTH_MAX) return false;
  return Object.values(input).every((each) => isPlain(each, depth + 1));
}

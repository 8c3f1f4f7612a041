import { describe, expect, test } from "vitest";
import { fixedClaims, grantedClaims } from "./fixed-claims.ts";
import { roleSettings } from "./role-settings.ts";

/** OpenID Connect Core 1.0 section 5.1, as its table has them. */
const STANDARD = (
  "name given_name family_name middle_name nickname preferred_username profile picture website " +
  "email email_verified gender birthdate zoneinfo locale phone_number phone_number_verified " +
  "address updated_at"
).split(" ");
/** RFC 7519 section 4.1, RFC 9068 section 2.2, RFC 8693 section 4, RFC 7800, RFC 9396, RFC 7662. */
const REGISTERED = (
  "iss sub aud exp nbf iat jti client_id auth_time acr amr scope act may_act cnf " +
  "authorization_details active username token_type"
).split(" ");
const VENDORS = "upn unique_name oid tid appid cid uid user_id user_name".split(" ");
const WS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress";
/** What .NET's JWT handler turns into a name, an identifier, an account or an actor, and back. */
const NET = (
  "nameid actort commonname ppid primarysid winaccountname adfs1email adfs1upn " +
  "http://schemas.microsoft.com/identity/claims/objectidentifier " +
  "http://schemas.microsoft.com/ws/2008/06/identity/claims/windowsaccountname " +
  "http://schemas.xmlsoap.org/ws/2009/09/identity/claims/actor " +
  "http://schemas.xmlsoap.org/claims/UPN"
).split(" ");

const ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role";

describe("what a role fixes for all who draw its tokens", () => {
  test.each([
    ...STANDARD,
    ...REGISTERED,
    ...VENDORS,
    "_claim_sources",
    "verified_claims",
    WS,
    ...NET,
  ])("is never %s, however it is spelled", (name) => {
    for (const spelled of [name, name.toUpperCase()]) {
      expect(fixedClaims.safeParse({ [spelled]: "x" }).success).toBe(false);
    }
  });
  test("is authority, and what an API calls something of its own", () => {
    for (const name of [
      "groups",
      "roles",
      "entitlements",
      "tenant",
      "https://acme.test/tier",
      ROLE,
    ]) {
      expect(fixedClaims.safeParse({ [name]: ["x"] }).success).toBe(true);
    }
  });
  test("is what JSON writes as it reads it", () => {
    for (const value of [-0, [{ deep: -0 }], Number.NaN, "\ud800"]) {
      expect(fixedClaims.safeParse({ tier: value }).success).toBe(false);
    }
    expect(fixedClaims.safeParse({ tier: [0, -1, 1.5e300] }).success).toBe(true);
  });
  test("is told by name, with what is wrong", () => {
    const [issue] = fixedClaims.safeParse({ groups: [], email: "x" }).error?.issues ?? [];
    expect(issue).toMatchObject({ path: ["email"] });
    expect(issue?.message).toContain("about a person or a client");
  });
  test("is refused of a role on record too, where its next token is planned", () => {
    const role = { audience: "https://orders.test", claims: { email: "x" } };
    expect(() => roleSettings(role)).toThrow(/role\.claims\.email/);
  });
  test("is read on in grants that were made when it was allowed, but for what was never", () => {
    expect(grantedClaims.safeParse({ email: "x" }).success).toBe(true);
    expect(grantedClaims.safeParse({ sub: "x" }).success).toBe(false);
  });
});

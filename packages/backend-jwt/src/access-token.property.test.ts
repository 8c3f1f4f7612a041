import fc from "fast-check";
import { expect, test } from "vitest";
import {
  CERTIFICATE_CONFIRMATION,
  InvalidInput,
  instantMs,
  parseId,
  parseInstallationId,
  type CredentialHolder,
  type IssuePlan,
  type JsonObject,
} from "@mayfly/spec";
import { freshLeaseId } from "@mayfly/testkit/contract";
import { claimsOf, readClaims } from "./access-token.ts";
import { grantOf, isWithinToken, parseParams, parseRole, planToken } from "./role-settings.ts";

const AUDIENCES = ["https://a.test", "https://b.test", "urn:c", "d"];
const SCOPES = ["read", "write", "orders:admin", "!#[]~"];
const INSTALLATION = parseInstallationId("testaaaa", "installation");
const TASK = parseId("task", "task_0190a0b0c0d070008000000000000001", "task");
const ISSUER = "https://broker.test/backends/orders-api";
const AT = 1_800_000_000;

const someOf = (names: readonly string[]) =>
  fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: names.length });
/** All of them mostly, so that most requests are for no more. */
const mostOf = (names: readonly string[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant([...names]) }, someOf(names));
const thumbprint = fc
  .base64String({ minLength: 44, maxLength: 44 })
  .map((text) => text.slice(0, 43));
const holder: fc.Arbitrary<CredentialHolder> = fc.record({
  subject: fc.webUrl(),
  actors: fc.array(fc.webUrl(), { maxLength: 4 }),
  confirmation: fc.oneof(
    fc.constant(null),
    thumbprint,
    thumbprint.map((text) => `${CERTIFICATE_CONFIRMATION}${text}`),
  ),
});
const fixed = fc.dictionary(
  fc.constantFrom("groups", "roles", "tier"),
  fc.jsonValue({ maxDepth: 2 }),
);
/** Names of the broker's own claims among them, which a role must not get past. */
const anyClaims = fc.dictionary(
  fc.oneof(
    fc.constantFrom("sub", "aud", "exp", "cnf", "mayfly_task", "act"),
    fc.string({ maxLength: 8 }),
  ),
  fc.jsonValue({ maxDepth: 5 }),
  { maxKeys: 4 },
);
const claims = fc.oneof({ weight: 6, arbitrary: fixed }, anyClaims);
const roleInput = fc.record(
  {
    audience: mostOf(AUDIENCES),
    scope: mostOf(SCOPES),
    claims,
    key_binding: fc.constantFrom("required", "when_proven", "when_asked"),
  },
  { requiredKeys: ["audience"] },
);
const paramsInput = fc.record(
  {
    audience: someOf(AUDIENCES),
    scope: someOf(SCOPES),
    key_binding: fc.constantFrom("required", undefined, undefined, undefined, undefined),
  },
  { requiredKeys: [] },
);

/** Null where it is refused by name; anything else thrown fails the property. */
function unlessRefused<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof InvalidInput) return null;
    throw error;
  }
}
const planOf = (role: unknown, params: unknown, who: CredentialHolder): IssuePlan | null =>
  unlessRefused(() =>
    planToken({
      installation: INSTALLATION,
      leaseId: freshLeaseId(),
      expiresAt: instantMs(AT * 1000 + 999),
      role: parseRole(role),
      params: parseParams(params),
      holder: who,
    }),
  );
const signedOf = (plan: IssuePlan): JsonObject =>
  claimsOf({
    issuer: ISSUER,
    jti: plan.externalName,
    taskId: TASK,
    grant: grantOf(plan),
    issuedAt: AT - 60,
    expiresAt: AT,
  });
const listOf = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : [value]).map(String);

test("a token says no more than role and request, and is of its holder and key alone", () => {
  let planned = 0;
  fc.assert(
    fc.property(roleInput, paramsInput, holder, (role, params, who) => {
      const plan = planOf(role, params, who);
      if (plan === null) return;
      planned++;
      const token = signedOf(plan);
      const scope = listOf(token["scope"] ?? "").flatMap((text) => text.split(" ").filter(Boolean));
      for (const name of scope) {
        expect(role.scope).toContain(name);
        expect(params.scope ?? role.scope).toContain(name);
      }
      for (const name of listOf(token["aud"])) {
        expect(role.audience).toContain(name);
        expect(params.audience ?? role.audience).toContain(name);
      }
      expect(token).toMatchObject({
        iss: ISSUER,
        sub: who.subject,
        client_id: who.actors[0] ?? who.subject,
        exp: AT,
        jti: plan.externalName,
        mayfly_task: TASK,
      });
      const isWanted =
        params.key_binding === "required" ||
        role.key_binding === "required" ||
        role.key_binding === "when_proven";
      const isBound = who.confirmation !== null && isWanted;
      expect(Object.hasOwn(token, "cnf")).toBe(isBound);
      expect(isBound || (role.key_binding !== "required" && params.key_binding === undefined)).toBe(
        true,
      );
      const read = readClaims(token, {
        issuer: ISSUER,
        installation: INSTALLATION,
        nowMs: AT * 1000 - 1,
      });
      expect(read).toEqual({
        leaseId: plan.leaseId,
        audience: listOf(token["aud"]),
        confirmation: isBound ? who.confirmation : null,
      });
    }),
    { numRuns: 300 },
  );
  // It could have said nothing at all.
  expect(planned).toBeGreaterThan(10);
});

test("a token is planned by its bytes, so that one in any alphabet fits a header", () => {
  const longest = 8 * 1024 - Math.ceil((384 * 4) / 3) - 200;
  const lengths = [100, 300, 500, 900, 1300].flatMap((characters) =>
    ["x", "é", "界"].map((letter) => {
      const who = { subject: letter.repeat(characters), actors: [], confirmation: null };
      const plan = planOf({ audience: AUDIENCES[0] }, {}, who);
      const bytes = Buffer.byteLength(letter) * characters;
      // Subject and client are one here, so that each name stands twice.
      expect([letter, characters, plan !== null]).toEqual([letter, characters, bytes < 1_960]);
      return plan === null ? 0 : Buffer.byteLength(JSON.stringify(signedOf(plan)));
    }),
  );
  expect(Math.max(...lengths)).toBeGreaterThan(3_600);
  for (const bytes of lengths) expect((bytes * 4) / 3).toBeLessThan(longest);
});

test("what is within a token is within whatever that is within, and never says more", () => {
  let within = 0;
  fc.assert(
    fc.property(
      roleInput,
      fc.tuple(paramsInput, paramsInput, paramsInput),
      holder,
      (role, [a, b, c], who) => {
        const plans = [a, b, c].map((params) => planOf(role, params, who));
        const [x, y, z] = plans;
        for (const plan of plans) if (plan !== null) expect(isWithinToken(plan, plan)).toBe(true);
        if (x === null || y === null || x === undefined || y === undefined) return;
        if (!isWithinToken(x, y)) return;
        within++;
        const [inner, outer] = [grantOf(x), grantOf(y)];
        expect(inner.scope.every((name) => outer.scope.includes(name))).toBe(true);
        expect(inner.audience.every((name) => outer.audience.includes(name))).toBe(true);
        if (z !== null && z !== undefined && isWithinToken(y, z)) {
          expect(isWithinToken(x, z)).toBe(true);
        }
        const later = { ...x, expiresAt: instantMs(y.expiresAt + 1) };
        expect(isWithinToken(later, y)).toBe(false);
      },
    ),
    { numRuns: 300 },
  );
  expect(within).toBeGreaterThan(10);
});

test("another holder's token, another key's, or one with other claims is not within", () => {
  let others = 0;
  fc.assert(
    fc.property(roleInput, holder, holder, (role, who, other) => {
      const [mine, theirs] = [planOf(role, {}, who), planOf(role, {}, other)];
      if (mine === null || theirs === null) return;
      const isSame =
        mine.grant["subject"] === theirs.grant["subject"] &&
        JSON.stringify(mine.grant["actors"]) === JSON.stringify(theirs.grant["actors"]);
      if (!isSame) {
        others++;
        expect(isWithinToken(mine, theirs)).toBe(false);
      }
      const more = { ...mine, grant: { ...mine.grant, claims: { groups: ["admins"] } } };
      const isAdmin = JSON.stringify(role.claims) === '{"groups":["admins"]}';
      if (!isAdmin) expect(isWithinToken(more, mine)).toBe(false);
    }),
  );
  expect(others).toBeGreaterThan(10);
});

test("what a role accepts is its own normal form, and refuses by name what it does not", () => {
  fc.assert(
    fc.property(fc.oneof(roleInput, fc.jsonValue({ maxDepth: 3 })), (input) => {
      const normal = unlessRefused(() => parseRole(input));
      if (normal === null) return;
      expect(parseRole(normal)).toEqual(normal);
      expect(JSON.parse(JSON.stringify(normal))).toEqual(normal);
    }),
  );
});

test("signed claims that are none of ours are read as nothing, whatever they hold", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom("iss", "aud", "exp", "jti", "cnf", "x"), fc.jsonValue()),
      (any) => {
        const of = { issuer: ISSUER, installation: INSTALLATION, nowMs: 0 };
        // A cast: what JSON gave is JSON.
        expect(readClaims(any as JsonObject, of)).toBeNull();
      },
    ),
  );
});

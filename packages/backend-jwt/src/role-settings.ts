import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { leaseName, parseStrict, plainObject, toJsonSchema } from "@mayfly/backend-kit";
import {
  clientIdOf,
  confirmationClaim,
  holderOf,
  InvalidInput,
  keyBindingOf,
  type CredentialHolder,
  type IssuePlan,
  type JsonObject,
  type JsonSchema,
  type PlanRequest,
} from "@mayfly/spec";
import { fixedClaims, grantedClaims } from "./fixed-claims.ts";
import { audience } from "./issuer-settings.ts";

/** RFC 6749 section 3.3, scope-token. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/;
const scopeToken = (): z.ZodString =>
  z.string().regex(SCOPE, "expected a scope: printable characters without space, quote, backslash");

const asSet = (names: readonly string[]): string[] => [...new Set(names)].toSorted();

const audiences = z
  .union([audience().transform((one) => [one]), z.array(audience()).min(1).max(8)], {
    message: "expected an audience, or a list of 1 to 8",
  })
  .transform(asSet);
const scopes = z.array(scopeToken()).max(64).transform(asSet);

const role = z.strictObject({
  audience: audiences.describe("Of those that the backend's configuration names."),
  scope: scopes.default([]).describe("The most that a token of this role may say in `scope`."),
  claims: fixedClaims
    .default({})
    .describe(
      "What each token says besides, such as `groups`; none that says who, when or for whom, nor " +
        "anything of a person, such as `email`.",
    ),
  key_binding: z
    .enum(["when_asked", "when_proven", "required"])
    .default("when_asked")
    .describe(
      "When tokens are bound to the key of their task (`cnf`): when_asked where the request says " +
        "so, since whoever uses the token has to hold that key; when_proven for each task that has " +
        "one; required, and tasks without one are refused.",
    ),
});

const params = z.strictObject({
  audience: audiences.optional().describe("Fewer audiences than the role has."),
  scope: scopes.optional().describe("Fewer scopes than the role has."),
  key_binding: z
    .literal("required")
    .optional()
    .describe("Binds the token to the task's key; refused where the task has none."),
});

const grant = z.strictObject({
  audience: z.array(audience()).min(1).max(8),
  scope: z.array(scopeToken()).max(64),
  subject: z.string(),
  client_id: z.string(),
  actors: z.array(z.string()),
  key_binding: z.enum(["none", "dpop", "certificate"]),
  cnf: z.record(z.string(), z.string()).nullable(),
  claims: grantedClaims,
});
export type TokenGrant = z.infer<typeof grant>;

export const ROLE_SCHEMA: JsonSchema = toJsonSchema(role);
export const PARAMS_SCHEMA: JsonSchema = toJsonSchema(params);

export type RoleSettings = z.infer<typeof role>;
export const roleSettings = (input: unknown): RoleSettings => parseStrict(role, input, "role");
/**
 * Of a role on record, whatever a newer rule says of its other settings: its plan is refused by
 * that, and nothing else of its backend is held up.
 */
export const audiencesOfRole = (input: unknown): readonly string[] =>
  parseStrict(z.looseObject({ audience: audiences }), input, "role").audience;
export const parseRole = (input: unknown): JsonObject => plainObject(roleSettings(input));
export const parseParams = (input: unknown): JsonObject =>
  plainObject(parseStrict(params, input, "params"));
export const grantOf = (plan: IssuePlan): TokenGrant =>
  parseStrict(grant, plan.grant, "plan.grant");

/** In base64url, with header and signature, still below the 8 KiB that servers take of a header. */
const GRANT_BYTES_MAX = 4_096;

export function planToken(request: PlanRequest): IssuePlan {
  const fixed = roleSettings(request.role);
  const asked = parseStrict(params, request.params, "params");
  const { holder } = request;
  const planned: TokenGrant = {
    audience: within(asked.audience, fixed.audience, "audience"),
    scope: within(asked.scope, fixed.scope, "scope"),
    subject: holder.subject,
    // RFC 9068 section 2.2: the client, which is who acts.
    client_id: clientIdOf(holderOf(holder)),
    // Without them the token says for whom it is alone; the client is on it in any case.
    actors: holder.impersonates === true ? [] : [...holder.actors],
    ...bindingOf(fixed.key_binding, asked.key_binding === "required", holder),
    claims: fixed.claims,
  };
  // In bytes: a character of a person's name may be three, and each is encoded.
  const bytes = Buffer.byteLength(JSON.stringify(planned));
  if (bytes > GRANT_BYTES_MAX) {
    throw new InvalidInput(
      `params: the token would be too long for a header: what is granted has ${bytes} bytes, and ` +
        `${GRANT_BYTES_MAX} is the most; ask for less, or have a shorter act`,
      { where: "params" },
    );
  }
  return {
    leaseId: request.leaseId,
    externalName: leaseName(request.installation, request.leaseId),
    expiresAt: request.expiresAt,
    grant: plainObject(planned),
  };
}

function within(asked: string[] | undefined, most: string[], member: string): string[] {
  const beyond = asked?.find((name) => !most.includes(name));
  if (beyond === undefined) return asked ?? most;
  const where = `params.${member}`;
  throw new InvalidInput(`${where}: the role has no ${member} "${beyond}"`, { where });
}

function bindingOf(
  ofRole: RoleSettings["key_binding"],
  isAsked: boolean,
  { confirmation }: CredentialHolder,
): Pick<TokenGrant, "key_binding" | "cnf"> {
  const isMust = isAsked || ofRole === "required";
  if (confirmation !== null && (isMust || ofRole === "when_proven")) {
    return { key_binding: keyBindingOf(confirmation), cnf: confirmationClaim(confirmation) };
  }
  if (!isMust) return { key_binding: "none", cnf: null };
  const where = "params.key_binding";
  throw new InvalidInput(
    `${where}: the token is to be bound to a key, and the task is bound to none; open it with a ` +
      "DPoP proof, or with a certificate",
    { where },
  );
}

/**
 * Fewer audiences, fewer scopes, no later end, for the same holder, bound at least as strictly.
 * Fixed claims may be authority (`groups`), so that they have to be the same.
 */
export function isWithinToken(inner: IssuePlan, outer: IssuePlan): boolean {
  const [narrow, wide] = [grant.safeParse(inner.grant), grant.safeParse(outer.grant)];
  if (!narrow.success || !wide.success || inner.expiresAt > outer.expiresAt) return false;
  const [a, b] = [narrow.data, wide.data];
  return (
    a.audience.every((name) => b.audience.includes(name)) &&
    a.scope.every((name) => b.scope.includes(name)) &&
    a.subject === b.subject &&
    a.client_id === b.client_id &&
    isDeepStrictEqual(a.actors, b.actors) &&
    (b.cnf === null || isDeepStrictEqual(a.cnf, b.cnf)) &&
    isDeepStrictEqual(a.claims, b.claims)
  );
}

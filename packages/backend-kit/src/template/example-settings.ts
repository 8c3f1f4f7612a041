import { z } from "zod";
import {
  apiHost,
  certificates,
  leaseName,
  ownSecret,
  parseStrict,
  plainObject,
  serverPort,
  tlsMode,
  toJsonSchema,
} from "@mayfly/backend-kit";
import { InvalidInput, type IssuePlan, type JsonObject, type PlanRequest } from "@mayfly/spec";

/** Where the upstream is, and as whom the broker asks it. */
const config = z.strictObject({
  host: apiHost().describe("Where the API listens."),
  port: serverPort().default(443),
  token: ownSecret().describe("The broker's own token."),
  tls: tlsMode(),
  ca: certificates().optional().describe("Certificates to trust instead of the system's, PEM."),
  call_seconds_max: z.int().min(1).max(10).default(5).describe("Bound of one call."),
});
export type ExampleConfig = z.infer<typeof config>;

const scopes = z
  .array(z.string().regex(/^[a-z][a-z0-9_.:-]{0,63}$/, "expected a scope"))
  .min(1)
  .max(32)
  .transform((names) => [...new Set(names)].toSorted());

/** What the platform team fixes. */
const role = z.strictObject({ scopes: scopes.describe("All that a lease of this role may do.") });
/** What a request may ask for within it. */
const params = z.strictObject({ scopes: scopes.optional().describe("Fewer than the role has.") });
/** What is asked of the upstream. */
const grant = z.strictObject({ scopes });

export const CONFIG_SCHEMA = toJsonSchema(config);
export const ROLE_SCHEMA = toJsonSchema(role);
export const PARAMS_SCHEMA = toJsonSchema(params);

export const configOf = (input: unknown): ExampleConfig => parseStrict(config, input, "config");
export const grantOf = (plan: IssuePlan): z.infer<typeof grant> =>
  parseStrict(grant, plan.grant, "plan.grant");
export const parseConfig = (input: unknown): JsonObject => plainObject(configOf(input));
export const parseRole = (input: unknown): JsonObject =>
  plainObject(parseStrict(role, input, "role"));
export const parseParams = (input: unknown): JsonObject =>
  plainObject(parseStrict(params, input, "params"));

export function describeConfig(input: JsonObject): JsonObject {
  const { token: _, ca, ...shown } = configOf(input);
  return plainObject({
    ...shown,
    token: "[secret]",
    ca: ca === undefined ? undefined : "[certificates]",
  });
}

export function planLease(request: PlanRequest): IssuePlan {
  const fixed = parseStrict(role, request.role, "role");
  const asked = parseStrict(params, request.params, "params");
  const beyond = asked.scopes?.find((scope) => !fixed.scopes.includes(scope));
  if (beyond !== undefined) {
    throw new InvalidInput(`params.scopes: the role does not have "${beyond}"`, {
      where: "params.scopes",
    });
  }
  return {
    leaseId: request.leaseId,
    externalName: leaseName(request.installation, request.leaseId),
    expiresAt: request.expiresAt,
    grant: { scopes: asked.scopes ?? fixed.scopes },
  };
}

export function isWithinLease(inner: IssuePlan, outer: IssuePlan): boolean {
  const [narrow, wide] = [grant.safeParse(inner.grant), grant.safeParse(outer.grant)];
  if (!narrow.success || !wide.success || inner.expiresAt > outer.expiresAt) return false;
  return narrow.data.scopes.every((scope) => wide.data.scopes.includes(scope));
}

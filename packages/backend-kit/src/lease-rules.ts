import {
  InvalidInput,
  leaseName,
  type CredentialBackend,
  type CredentialHolder,
  type InstallationId,
  type IssuePlan,
  type LeaseId,
} from "@mayfly/spec";
import type { z } from "zod";
import { toJsonSchema } from "./json-schema.ts";
import { parseStrict } from "./parse-strict.ts";
import { plainObject } from "./plain-json.ts";

/** What of a type is pure: what may be fixed, what may be asked for, what comes of both. */
export interface LeaseShape<Role, Params, Grant> {
  /** What the platform team fixes. */
  readonly role: z.ZodType<Role>;
  /** What a request may ask for within it. */
  readonly params: z.ZodType<Params>;
  /** What is asked of the upstream, in its normal form. */
  readonly grant: z.ZodType<Grant>;
  /** Default: `leaseName`, of 44 characters. */
  readonly nameOf?: (installation: InstallationId, leaseId: LeaseId) => string;
  /** P1, P2. @throws InvalidInput where the role lacks what is asked ({@link beyondRole}) */
  readonly grantFor: (role: Role, params: Params, holder: CredentialHolder) => Grant;
  /** P5. Not asked where one of both is not understood, or ends later than the other. */
  readonly isGrantWithin: (inner: Grant, outer: Grant) => boolean;
}

type PureMembers = Pick<
  CredentialBackend,
  "roleSchema" | "paramsSchema" | "parseRole" | "parseParams" | "plan" | "isWithin"
>;

export interface LeaseRules<Role = unknown, Grant = unknown> extends PureMembers {
  readonly roleOf: (input: unknown) => Role;
  readonly grantOf: (plan: IssuePlan) => Grant;
}

/** The pure members of a backend type, strict and complete, of its shape. */
export function leaseRules<Role extends object, Params extends object, Grant extends object>(
  shape: LeaseShape<Role, Params, Grant>,
): LeaseRules<Role, Grant> {
  const { nameOf = leaseName } = shape;
  const roleOf = (input: unknown): Role => parseStrict(shape.role, input, "role");
  const paramsOf = (input: unknown): Params => parseStrict(shape.params, input, "params");
  return {
    roleSchema: toJsonSchema(shape.role),
    paramsSchema: toJsonSchema(shape.params),
    parseRole: (input) => plainObject(roleOf(input)),
    parseParams: (input) => plainObject(paramsOf(input)),
    roleOf,
    grantOf: (plan) => parseStrict(shape.grant, plan.grant, "plan.grant"),
    plan: ({ installation, leaseId, expiresAt, role, params, holder }) => ({
      leaseId,
      externalName: nameOf(installation, leaseId),
      expiresAt,
      grant: plainObject(shape.grantFor(roleOf(role), paramsOf(params), holder)),
    }),
    isWithin: (inner, outer) => {
      const [narrow, wide] = [
        shape.grant.safeParse(inner.grant),
        shape.grant.safeParse(outer.grant),
      ];
      if (!narrow.success || !wide.success || inner.expiresAt > outer.expiresAt) return false;
      return shape.isGrantWithin(narrow.data, wide.data);
    },
  };
}

/** `member` is a path within the parameters; `why` ends the sentence `params.member: …`. */
export function beyondRole(member: string, why: string): InvalidInput {
  const where = `params.${member}`;
  return new InvalidInput(`${where}: ${why}`, { where });
}

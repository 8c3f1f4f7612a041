import { beyondRole, leaseRules } from "@mayfly/backend-kit";
import { z } from "zod";
import {
  chooseParameters,
  isSame,
  parameterName,
  parameterRules,
  parameterValues,
  type ParameterRules,
  type ParameterValue,
} from "./parameter-rule.ts";
import { PATH_PATTERN } from "./server-settings.ts";

/** In lowercase, as the server keeps them; `root` may do everything, and is never given. */
const policyName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.@/-]{0,127}$/, "expected a policy's name in lowercase")
  .refine((name) => name !== "root", { message: "the policy root is never given" });
const policies = z
  .array(policyName)
  .min(1)
  .max(32)
  .transform((names) => [...new Set(names)].toSorted());

/** The server's own paths make tokens, policies and leases: none of them is an engine's. */
const OWN = /^(?:auth|sys|identity|cubbyhole)(?:\/|$)/;
const enginePath = z
  .string()
  .max(200)
  .regex(PATH_PATTERN, "expected names with single slashes between them")
  .refine((path) => path.includes("/") && !OWN.test(path), {
    message: "expected a path of an engine, such as database/creds/reader",
  });
const members = z
  .array(z.string().regex(/^\w{1,64}$/, "expected a member's name"))
  .max(16)
  .transform((names) => [...new Set(names)].toSorted());
const secretMember = z.string().regex(/^\w{1,64}$/, "expected a member's name");
const uses = z.int().min(1).max(1_000_000);

const token = z
  .strictObject({
    policies: policies.describe("What the token has; default is not among them."),
    optional: policies
      .optional()
      .describe(
        "Those of them that a request may leave out; none. Never one that denies, or that has a " +
          "closer path than another one: without it a token may do more.",
      ),
    num_uses: uses.optional().describe("Requests that the token is good for. Default: any number."),
    orphan: z
      .boolean()
      .default(true)
      .describe("false: it dies with the login of the broker's process that made it."),
  })
  .refine(({ policies: all, optional = [] }) => optional.every((name) => all.includes(name)), {
    message: "expected some of `policies`",
    path: ["optional"],
  });
const engine = {
  path: enginePath.describe("Of the request that makes the credential: database/creds/reader."),
  method: z.enum(["read", "write"]).default("read").describe("A write sends the parameters."),
  policies: policies.describe("Of the token that asks the engine, and that nobody is given."),
  parameters: parameterRules.default({}).describe("Each by its rule; nothing else is sent."),
  secret: secretMember.describe("The member of the answer that is the secret."),
  also: members.default([]).describe("More members of the answer to hand out, as secrets too."),
  shown: members.default([]).describe("Members to hand out that are no secrets: a user's name."),
};
const dynamic = z.strictObject(engine);
const unleased = z.strictObject({
  ...engine,
  ttl_parameter: parameterName().describe("The parameter that says how long it shall live."),
  revoke_path: enginePath
    .optional()
    .describe("Where a serial_number is revoked: pki/revoke. Default: nothing revokes it."),
});

const shape = {
  token: token.optional().describe("A child token is the credential."),
  dynamic: dynamic.optional().describe("An engine's credential that has a lease."),
  unleased: unleased.optional().describe("An engine's credential without lease: a certificate."),
};
const one = (kinds: object): boolean =>
  Object.values(kinds).filter((kind) => kind !== undefined).length === 1;
const ONE = { message: "expected one of token, dynamic and unleased" };
const role = z
  .strictObject(shape)
  .refine(one, ONE)
  .refine(
    ({ dynamic: a, unleased: b }) => {
      const spec = a ?? b;
      return spec?.method !== "read" || Object.keys(spec.parameters).length === 0;
    },
    { message: "parameters need the method write" },
  )
  .refine(({ unleased: spec }) => spec === undefined || spec.method === "write", {
    message: "unleased needs the method write, for its ttl_parameter",
  })
  .refine(
    ({ unleased: spec }) =>
      spec === undefined || !Object.hasOwn(spec.parameters, spec.ttl_parameter),
    { message: "ttl_parameter is a parameter that Mayfly sets" },
  );

const params = z.strictObject({
  policies: policies.optional().describe("Of a token: the role's, but for some of its `optional`."),
  num_uses: uses.optional().describe("Of a token: no more than the role's."),
  parameters: parameterValues.optional().describe("Of an engine: what the role leaves open."),
});
type Params = z.infer<typeof params>;

const asked = {
  path: enginePath,
  method: z.enum(["read", "write"]),
  policies,
  parameters: parameterValues,
  secret: secretMember,
  also: members,
  shown: members,
};
const grant = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("token"),
    policies,
    /** The role's: what the token role on the server allows. */
    ceiling: policies,
    /** The role's, and absent where it names none. */
    optional: policies.optional(),
    num_uses: uses.optional(),
    orphan: z.boolean(),
  }),
  z.strictObject({ kind: z.literal("dynamic"), ...asked }),
  z.strictObject({
    kind: z.literal("unleased"),
    ...asked,
    ttl_parameter: parameterName(),
    revoke_path: enginePath.optional(),
  }),
]);
export type VaultGrant = z.infer<typeof grant>;
export type TokenGrant = Extract<VaultGrant, { kind: "token" }>;
export type EngineGrant = Exclude<VaultGrant, { kind: "token" }>;

export const leases = leaseRules({
  role,
  params,
  grant,
  grantFor: grantWithin,
  isGrantWithin: isWithin,
});

/** The policies that tokens of a role are made with, and what its engine is asked at. */
export interface RoleNeeds {
  readonly policies: readonly string[];
  /** Where an engine leases what it makes; null where nothing is leased. */
  readonly leasedAt: string | null;
  readonly revokePath: string | null;
}

export function needsOfRole(input: unknown): RoleNeeds {
  const { token: own, dynamic: leased, unleased: other } = leases.roleOf(input);
  const spec = own ?? leased ?? other;
  if (spec === undefined) throw new TypeError("a role has one of its kinds");
  return {
    policies: spec.policies,
    leasedAt: leased?.path ?? null,
    revokePath: other?.revoke_path ?? null,
  };
}

function grantWithin(fixed: z.infer<typeof role>, wanted: Params): VaultGrant {
  if (fixed.token !== undefined) return tokenWithin(fixed.token, wanted);
  for (const member of ["policies", "num_uses"] as const) {
    if (wanted[member] !== undefined) throw beyondRole(member, "it is for tokens alone");
  }
  const spec = fixed.unleased ?? fixed.dynamic;
  if (spec === undefined) throw new TypeError("a role has one of its kinds");
  const parameters = parametersWithin(spec.parameters, wanted.parameters ?? {});
  if (fixed.unleased === undefined) return { kind: "dynamic", ...spec, parameters };
  return { kind: "unleased", ...fixed.unleased, parameters };
}

function tokenWithin(fixed: z.infer<typeof token>, wanted: Params): TokenGrant {
  if (wanted.parameters !== undefined) throw beyondRole("parameters", "a token has none");
  const chosen = wanted.policies ?? fixed.policies;
  if (!chosen.every((name) => fixed.policies.includes(name))) {
    throw beyondRole("policies", "it is not within what the role allows");
  }
  const missing = firstMissing(chosen, fixed);
  if (missing !== undefined) {
    throw beyondRole("policies", `"${missing}" is not one of the role's \`optional\``);
  }
  const numUses = wanted.num_uses ?? fixed.num_uses;
  if (!isFewer(numUses, fixed.num_uses)) {
    throw beyondRole("num_uses", "it is more than the role allows");
  }
  return {
    kind: "token",
    policies: chosen,
    ceiling: fixed.policies,
    ...(fixed.optional === undefined ? {} : { optional: fixed.optional }),
    ...(numUses === undefined ? {} : { num_uses: numUses }),
    orphan: fixed.orphan,
  };
}

/**
 * A policy may deny, and of two paths the closer one alone counts: with one policy less a token may
 * do more. So one is left out only where the role says that it may be.
 */
const firstMissing = (
  chosen: readonly string[],
  { policies: all, optional = [] }: Pick<TokenGrant, "policies" | "optional">,
): string | undefined => all.find((name) => !optional.includes(name) && !chosen.includes(name));

function parametersWithin(
  rules: ParameterRules,
  wanted: Readonly<Record<string, ParameterValue>>,
): Record<string, ParameterValue> {
  const chosen = chooseParameters(rules, wanted);
  if ("values" in chosen) return chosen.values;
  throw beyondRole(
    `parameters.${chosen.beyond}`,
    "it is not one that the role leaves open to ask for",
  );
}

const isFewer = (inner: number | undefined, outer: number | undefined): boolean =>
  outer === undefined || (inner !== undefined && inner <= outer);

function isWithin(inner: VaultGrant, outer: VaultGrant): boolean {
  if (inner.kind !== "token" || outer.kind !== "token") {
    // What an engine makes of other parameters is its own: only the same is within.
    return isSame(inner, outer);
  }
  return (
    inner.policies.every((name) => outer.policies.includes(name)) &&
    firstMissing(inner.policies, outer) === undefined &&
    isFewer(inner.num_uses, outer.num_uses) &&
    // One that dies with a login is less than one that does not.
    (outer.orphan || !inner.orphan)
  );
}

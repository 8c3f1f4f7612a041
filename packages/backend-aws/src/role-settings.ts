import { createHash } from "node:crypto";
import { beyondRole, leaseRules, shortLeaseName } from "@mayfly/backend-kit";
import { z } from "zod";
import { areAllWithin, narrowed, statements, type Statement } from "./policy-statement.ts";
import { POLICY_CHARACTERS_MAX, sessionPolicy } from "./session-policy.ts";

const POOL_MAX = 16;
/** Of a session tag: https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html. */
const TAG_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,256}$/u;
const DIGEST = "sha256:";

/** With its path, without the leading slash: `agents/reader`. */
const iamRole = z
  .string()
  .regex(/^(?:[!-.0-~]{1,100}\/){0,4}[\w+=,.@-]{1,64}$/, "expected a name of a role, or path/name");
const tags = z
  .record(
    z.string().regex(/^(?!mayfly:)(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u, "expected a key"),
    z.string().regex(TAG_VALUE, "expected a value of a tag"),
  )
  .refine((all) => Object.keys(all).length <= 20, { message: "expected at most 20 tags" });

const role = z.strictObject({
  iam_roles: z
    .array(iamRole)
    .min(1)
    .max(POOL_MAX)
    .refine((list) => new Set(list.map(placeOf)).size === list.length, {
      message: "a role is named twice",
    })
    .describe(
      "The IAM roles that leases are sessions of, alike in all: each can refuse a bounded number.",
    ),
  statements: statements.describe(
    "What a session may do at most; the IAM role's own policies allow no more than they say.",
  ),
  tags: tags.default({}).describe("Further session tags, for policies that look at them."),
  external_id: z
    .string()
    .regex(/^[\w+=,.@:/-]{2,1224}$/, "expected an external id")
    .optional()
    .describe("What the trust policy asks for as `sts:ExternalId`."),
});

const params = z.strictObject({
  statements: statements
    .optional()
    .describe("Each within one of the role's, whose conditions hold as well. Default: all."),
});

const grantedStatement = z.strictObject({
  actions: z.array(z.string()),
  resources: z.array(z.string()),
  conditions: z.record(z.string(), z.record(z.string(), z.array(z.string()))),
});
const grant = z.strictObject({
  iam_roles: z.array(iamRole).min(1).max(POOL_MAX),
  statements: z.array(grantedStatement).min(1).max(16),
  tags: z.record(z.string(), z.string()),
  workload: z.string(),
  /** For whom the workload acts; absent: for itself. */
  subject: z.string().optional(),
  external_id: z.string().optional(),
});
export type AwsGrant = z.infer<typeof grant>;

/** A role's name without its path, unique in its account. */
export function placeOf(iamRoleName: string): string {
  return iamRoleName.slice(iamRoleName.lastIndexOf("/") + 1);
}

export const leases = leaseRules({
  role,
  params,
  grant,
  nameOf: shortLeaseName,
  grantFor: (fixed, asked, { subject, actors }): AwsGrant => {
    // First of all: what is too long is not worth comparing.
    refuseLong(sessionPolicy(asked.statements ?? []));
    const granted = asked.statements?.map((each, at) => withinRole(each, fixed.statements, at));
    const wanted = {
      iam_roles: fixed.iam_roles,
      statements: granted ?? fixed.statements,
      tags: fixed.tags,
      workload: tagValue(actors[0] ?? subject),
      ...(actors.length === 0 ? {} : { subject: tagValue(subject) }),
      ...(fixed.external_id === undefined ? {} : { external_id: fixed.external_id }),
    };
    refuseLong(sessionPolicy(wanted.statements));
    return wanted;
  },
  isGrantWithin: (inner, outer) =>
    inner.iam_roles.every((name) => outer.iam_roles.includes(name)) &&
    sameTexts(inner.tags, outer.tags) &&
    areAllWithin(inner.statements, outer.statements),
});

function withinRole(asked: Statement, allowed: readonly Statement[], at: number): Statement {
  const found = narrowed(asked, allowed);
  if (found !== null) return found;
  throw beyondRole(
    `statements[${at}]`,
    "it is not, or not evidently, within a statement of the role",
  );
}

function refuseLong(policy: string): void {
  if (policy.length <= POLICY_CHARACTERS_MAX) return;
  throw beyondRole(
    "statements",
    `as a session policy it has ${policy.length} characters, and AWS takes ` +
      `${POLICY_CHARACTERS_MAX}; ask for less, or use wildcards in the role`,
  );
}

/**
 * A subject as a tag may hold it. One that it may not hold is told by its digest and never by
 * another text that looks like it: policies of IAM compare these.
 */
const tagValue = (subject: string): string =>
  TAG_VALUE.test(subject) && !subject.startsWith(DIGEST)
    ? subject
    : `${DIGEST}${createHash("sha256").update(subject).digest("hex")}`;

/** Tags are conditions of other people's policies: none more, none less. */
const sameTexts = (
  a: Readonly<Record<string, string>>,
  b: Readonly<Record<string, string>>,
): boolean =>
  Object.keys(a).length === Object.keys(b).length &&
  Object.entries(a).every(([key, text]) => b[key] === text);

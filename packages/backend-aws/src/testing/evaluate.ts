import { GetRolePolicyCommand, ListRolePoliciesCommand, type IAMClient } from "@aws-sdk/client-iam";
import { runSimulation } from "@cloud-copilot/iam-simulate";
import { ACCOUNT, BUCKET, type MotoSession } from "./moto-account.ts";

export type Policies = readonly { readonly name: string; readonly policy: unknown }[];

/** What the role's sessions may do at most: its managed policy, by the tests' set-up. */
const MANAGED = {
  name: "orders",
  policy: {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: "s3:*", Resource: [BUCKET, `${BUCKET}/*`] }],
  },
};

/** Read back from moto, by the administrator: inline policies of a role, and the managed one. */
export async function policiesOf(iam: IAMClient, place: string): Promise<Policies> {
  const { PolicyNames: names = [] } = await iam.send(
    new ListRolePoliciesCommand({ RoleName: place }),
  );
  const inline = await Promise.all(
    names.map(async (name) => {
      const command = new GetRolePolicyCommand({ RoleName: place, PolicyName: name });
      const read = await iam.send(command).catch(() => null);
      const text = decodeURIComponent(read?.PolicyDocument ?? "");
      return text === "" ? [] : [{ name, policy: JSON.parse(text) as unknown }];
    }),
  );
  return [MANAGED, ...inline.flat()];
}

export const placeOfSession = ({ role_arn: arn }: MotoSession): string =>
  arn.slice(arn.lastIndexOf("/") + 1);

export interface Asked {
  readonly action: string;
  readonly resource: string;
  /** What conditions look at, beside who asks; what does not belong to the action is refused. */
  readonly context?: Readonly<Record<string, string | string[]>>;
}
export const READ_ORDERS: Asked = { action: "s3:GetObject", resource: `${BUCKET}/2026/1` };

/**
 * Whether AWS would allow it, by an evaluator that is not moto's, which knows no condition of a
 * request and would take a deny of one session for one of all.
 */
export async function isAllowed(
  session: MotoSession,
  policies: Policies,
  { action, resource, context = {} }: Asked = READ_ORDERS,
): Promise<boolean> {
  return judge({
    request: {
      principal: session.arn,
      action,
      resource: { resource, accountId: ACCOUNT },
      contextVariables: { ...context, "aws:userid": session.user_id },
    },
    sessionPolicy: session.policy === null ? undefined : (JSON.parse(session.policy) as unknown),
    identityPolicies: policies.map(({ name, policy }) => ({ name, policy })),
  });
}

type Simulation = Parameters<typeof runSimulation>[0];

/** Whether it is allowed; throws where not all of it was looked at. */
export async function judge(
  simulation: Omit<Simulation, "serviceControlPolicies" | "resourceControlPolicies">,
): Promise<boolean> {
  const whole = { ...simulation, serviceControlPolicies: [], resourceControlPolicies: [] };
  const response = await runSimulation(whole, {});
  if (response.resultType === "error") throw new Error(JSON.stringify(response.errors));
  // A condition on a key that the evaluator knows not of would judge nothing.
  const analyses = response.resultType === "single" ? [response.result] : response.results;
  const ignored = analyses.flatMap(({ ignoredContextKeys = [] }) => ignoredContextKeys);
  if (ignored.length > 0) throw new Error(`not looked at: ${ignored.join(", ")}`);
  return response.overallResult === "Allowed";
}

import type { GetRoleCommandOutput } from "@aws-sdk/client-iam";
import type { CallContext, CheckProblem, JsonObject, SelfCheck } from "@mayfly/spec";
import { arnOfRole, partitionOf } from "./account-settings.ts";
import { AwsFailure } from "./aws-failure.ts";
import { checkDocument, sessionsMax } from "./deny-document.ts";
import { SESSION_SECONDS_MIN } from "./issue.ts";
import type { Lane } from "./lane.ts";
import { lookAtDenies, policyText, type DenyLook } from "./look-at-denies.ts";
import { leases, placeOf } from "./role-settings.ts";
import type { AwsApi } from "./aws-api.ts";

/**
 * Tries each right: takes a session that may do nothing, and writes a deny that is for nobody,
 * reads it and deletes it.
 */
export async function selfCheck(
  lane: Lane,
  roles: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const { settings } = lane;
  const problems: CheckProblem[] = [];
  const aws = await lane.api();
  const caller = await aws.getCallerIdentity(context);
  if (caller.Account !== settings.account_id) problems.push(otherAccount(lane, caller.Account));
  else {
    if (isUnknownUser(lane, caller.Arn)) problems.push(USER_BY_DEFAULT);
    for (const iamRole of new Set(roles.flatMap((role) => leases.roleOf(role).iam_roles))) {
      problems.push(...(await checkRole(lane, aws, iamRole, context)));
    }
  }
  return {
    upstreamIdentity: `${partitionOf(settings.region)}:${settings.account_id}`,
    clockSkewMs: null,
    facts: { caller: caller.Arn ?? null, sessions_max_of_a_role: sessionsMax(settings) },
    problems,
  };
}

/** Only of a backend that has the user's keys itself is it known that they are a user's. */
const isUnknownUser = ({ settings }: Lane, caller: string | undefined): boolean =>
  settings.credentials.kind === "default" &&
  settings.chain.length === 0 &&
  caller?.includes(":assumed-role/") !== true;
const USER_BY_DEFAULT: CheckProblem = {
  code: "user_by_default",
  what:
    "What the SDK's chain found is no role's: a session could be made into a login to the console, " +
    "which lives on when its deny is deleted.",
  fix: "Name a role in `chain`, or give the user's keys as `credentials`.",
};

const otherAccount = ({ settings }: Lane, account: string | undefined): CheckProblem => ({
  code: "other_account",
  what: `The broker is logged in to the account ${account ?? "of an unknown number"}.`,
  fix:
    `Give it credentials of ${settings.account_id}, or a \`chain\` whose last role is there: a ` +
    "role's policies can be written from its own account alone.",
});

async function checkRole(
  lane: Lane,
  aws: AwsApi,
  iamRole: string,
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  const place = placeOf(iamRole);
  const problems: CheckProblem[] = [];
  const attempt = async <T>(action: string, run: () => Promise<T>): Promise<T | null> => {
    try {
      return await run();
    } catch (thrown) {
      if (!(thrown instanceof AwsFailure) || thrown.kind !== "refused") throw thrown;
      problems.push(refused(lane, iamRole, action, thrown));
      return null;
    }
  };
  const found = await attempt("iam:GetRole", () => aws.getRole({ RoleName: place }, context));
  if (problems.some(({ code }) => code === "role_missing")) return problems;
  problems.push(...checkFound(lane, iamRole, found?.Role));
  await attempt("sts:AssumeRole", () => takeNothing(lane, aws, iamRole, context));
  // A role may have no policy yet: whoever may read hears that there is none of this name.
  const read = await attempt("iam:GetRolePolicy", async () => ({
    text: await policyText(lane, place, checkDocument(lane.host).policyName, context),
  }));
  if (read === null) return problems;
  const look = await attempt("iam:ListRolePolicies", () => lookAtDenies(lane, place, context));
  if (look?.isMissing === true) problems.push(roleMissing(lane, iamRole));
  else if (look !== null && roomOf(look) < lane.settings.deny_characters) {
    problems.push(tooLittleRoom(lane, iamRole, roomOf(look)));
  } else {
    const left = look?.leftByChecks.policyNames ?? [];
    await writeAndDelete(lane, aws, { place, left }, attempt, context);
  }
  return problems;
}

/** What checks left goes with this one, or its right to delete is told to be missing. */
const roomOf = ({ room, leftByChecks }: DenyLook): number => room + leftByChecks.characters;

function checkFound(
  { settings }: Lane,
  iamRole: string,
  found: GetRoleCommandOutput["Role"],
): readonly CheckProblem[] {
  const problems: CheckProblem[] = [];
  const arn = arnOfRole(settings, iamRole);
  if (found?.Arn !== undefined && found.Arn !== arn) {
    const what = `The IAM role is ${found.Arn}, and not ${arn}.`;
    problems.push({ code: "role_path", what, fix: "Write its path into `iam_roles`." });
  }
  const seconds = found?.MaxSessionDuration ?? settings.session_seconds_max;
  if (seconds < settings.session_seconds_max) {
    problems.push({
      code: "session_too_long",
      what: `${iamRole} allows sessions of ${seconds} s, and session_seconds_max is longer.`,
      fix: `Set session_seconds_max to ${seconds}, or raise the role's maximum session duration.`,
    });
  }
  return problems;
}

const roleMissing = ({ settings }: Lane, iamRole: string): CheckProblem => ({
  code: "role_missing",
  what: `There is no IAM role ${iamRole} in ${settings.account_id}.`,
  fix: "Create it, or correct `iam_roles`.",
});

const refused = (
  lane: Lane,
  iamRole: string,
  action: string,
  { code, message }: AwsFailure,
): CheckProblem => {
  if (code === "NoSuchEntity") return roleMissing(lane, iamRole);
  return {
    code: "right_missing",
    what: `${action} on ${arnOfRole(lane.settings, iamRole)} was refused: ${message}`,
    fix: fixOf(lane, action),
  };
};

function fixOf({ host }: Lane, action: string): string {
  if (action === "sts:AssumeRole") {
    return (
      "Allow the broker sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity, in its own " +
      "policy and in the role's trust policy."
    );
  }
  const fix = `Allow the broker ${action} on the role.`;
  if (action !== "iam:DeleteRolePolicy") return fix;
  const { policyName } = checkDocument(host);
  return `${fix} Until then the role keeps the inline policy ${policyName}, a deny for nobody.`;
}

const tooLittleRoom = ({ settings }: Lane, iamRole: string, room: number): CheckProblem => ({
  code: "inline_policies_too_long",
  what:
    `The other inline policies of ${iamRole} leave ${room} characters, and deny_characters is ` +
    `${settings.deny_characters}.`,
  fix: "Make them managed policies, or set deny_characters to less.",
});

const NOTHING = JSON.stringify({
  Version: "2012-10-17",
  Statement: { Effect: "Deny", Action: "*", Resource: "*" },
});

const takeNothing = ({ settings }: Lane, aws: AwsApi, iamRole: string, context: CallContext) => {
  const session = {
    RoleArn: arnOfRole(settings, iamRole),
    RoleSessionName: "mayfly-self-check",
    SourceIdentity: "mayfly-self-check",
    Tags: [{ Key: "mayfly:lease", Value: "none" }],
    Policy: NOTHING,
    DurationSeconds: SESSION_SECONDS_MIN,
  };
  return aws.assumeRole(session, context);
};

/** Deletes what earlier checks left too, if they might not, or died. */
async function writeAndDelete(
  { host }: Lane,
  aws: AwsApi,
  { place, left }: { readonly place: string; readonly left: readonly string[] },
  attempt: <T>(action: string, run: () => Promise<T>) => Promise<T | null>,
  context: CallContext,
): Promise<void> {
  const { policyName: own, text } = checkDocument(host);
  const put = { RoleName: place, PolicyName: own, PolicyDocument: text };
  const written = await attempt("iam:PutRolePolicy", () => aws.putRolePolicy(put, context));
  const names = written === null ? left : [own, ...left.filter((name) => name !== own)];
  for (const name of names) {
    const run = () => deletePolicy(aws, place, name, context);
    // One refusal tells it.
    if ((await attempt("iam:DeleteRolePolicy", run)) === null) return;
  }
}

async function deletePolicy(
  aws: AwsApi,
  place: string,
  policyName: string,
  context: CallContext,
): Promise<void> {
  const at = { RoleName: place, PolicyName: policyName };
  await aws.deleteRolePolicy(at, context).catch((thrown: unknown) => {
    // Another check at the same time deleted it: the right is there, or the answer were another.
    if (!(thrown instanceof AwsFailure) || thrown.code !== "NoSuchEntity") throw thrown;
  });
}

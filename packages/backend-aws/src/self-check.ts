import type { GetRoleCommandOutput } from "@aws-sdk/client-iam";
import type { CallContext, CheckProblem, JsonObject, SelfCheck } from "@mayfly/spec";
import { arnOfRole, partitionOf } from "./account-settings.ts";
import { AwsFailure } from "./aws-failure.ts";
import { sessionsMax, writeDocument } from "./deny-document.ts";
import { SESSION_SECONDS_MIN } from "./issue.ts";
import type { Lane } from "./lane.ts";
import { lookAtDenies, policyText } from "./look-at-denies.ts";
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
    text: await policyText(lane, place, "mayfly-self-check", context),
  }));
  if (read === null) return problems;
  const look = await attempt("iam:ListRolePolicies", () => lookAtDenies(lane, place, context));
  if (look?.isMissing === true) problems.push(roleMissing(lane, iamRole));
  else if (look !== null && look.room < lane.settings.deny_characters) {
    problems.push(tooLittleRoom(lane, iamRole, look.room));
  } else await writeAndDelete(lane, aws, place, attempt, context);
  return problems;
}

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
    fix:
      action === "sts:AssumeRole"
        ? "Allow the broker sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity, in its own " +
          "policy and in the role's trust policy."
        : `Allow the broker ${action} on the role.`,
  };
};

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

/** The deny names a lease that never is; a name of its own, as others may check at once. */
async function writeAndDelete(
  { host }: Lane,
  aws: AwsApi,
  place: string,
  attempt: <T>(action: string, run: () => Promise<T>) => Promise<T | null>,
  context: CallContext,
): Promise<void> {
  const { text } = writeDocument(host, 0, [`mf_${host.installation}${"A".repeat(21)}`]);
  const random = Buffer.from(host.random.bytes(8)).toString("hex");
  const at = { RoleName: place, PolicyName: `mayfly-self-check.${random}` };
  const written = await attempt("iam:PutRolePolicy", () =>
    aws.putRolePolicy({ ...at, PolicyDocument: text }, context),
  );
  if (written === null) return;
  await attempt("iam:DeleteRolePolicy", () => aws.deleteRolePolicy(at, context));
}

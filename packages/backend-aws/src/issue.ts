import type { AssumeRoleCommandOutput } from "@aws-sdk/client-sts";
import { leaseName } from "@mayfly/backend-kit";
import {
  BackendError,
  durationSeconds,
  earliest,
  instantMs,
  linkSignals,
  plusSeconds,
  Secret,
  type InstantMs,
  type IssueContext,
  type IssuePlan,
  type Issued,
} from "@mayfly/spec";
import { arnOfRole } from "./account-settings.ts";
import { AwsFailure, failures } from "./aws-failure.ts";
import { sessionsMax } from "./deny-document.ts";
import type { Lane } from "./lane.ts";
import { writeHandle } from "./lease-handle.ts";
import { leases, placeOf, type AwsGrant } from "./role-settings.ts";
import { sessionPolicy } from "./session-policy.ts";

/** AWS gives no shorter session: API_AssumeRole, `DurationSeconds`. */
export const SESSION_SECONDS_MIN = 900;
/** A request whose signature is older is refused: so long may a lost one still come. */
const SIGNATURE_SECONDS = 300;
/** Between the ledger's clock and AWS's. */
export const SKEW_SECONDS = 60;
/** `SessionDuration` of the federation endpoint, at most: it asks it of a user's sessions alone. */
const CONSOLE_SECONDS_MAX = 43_200;

/**
 * Takes the name in the ledger, then the session: AWS would give a second session of a name, and
 * lists none, so that only the ledger can say that there may be one.
 */
export async function issue(lane: Lane, plan: IssuePlan, context: IssueContext): Promise<Issued> {
  const grant = leases.grantOf(plan);
  const seconds = sessionSeconds(lane, plan, context.clock.now());
  const iamRole = await takeName(lane, plan, grant, seconds, context);
  try {
    const answer = await assumeRole(lane, plan, { grant, iamRole, seconds }, context);
    const issued = issuedOf(lane, plan, iamRole, answer);
    const deniedUntil = plusSeconds(sessionEnd(answer), afterlifeSeconds(lane));
    await shorten(lane, plan.externalName, plusSeconds(deniedUntil, SKEW_SECONDS));
    return issued;
  } catch (thrown) {
    const error = failures.toBackendError(thrown, "issue");
    if (error.effect === "none") await shorten(lane, plan.externalName, context.clock.now());
    throw error;
  }
}

/**
 * So long may what a session was made into outlive it: a login to the console that is begun with
 * the session of a user's keys has a time of its own. Sessions that a role takes have none.
 */
export const afterlifeSeconds = ({
  settings: { credentials, chain },
}: Pick<Lane, "settings">): number =>
  credentials.kind === "keys" && chain.length === 0 ? CONSOLE_SECONDS_MAX : 0;

/** Never more than the lease's own time, where AWS allows that; an earlier end is by a deny. */
function sessionSeconds({ settings }: Lane, { expiresAt }: IssuePlan, now: InstantMs): number {
  const left = Math.floor((expiresAt - now) / 1_000);
  return Math.min(Math.max(left, SESSION_SECONDS_MIN), settings.session_seconds_max);
}

/** The place of the first role that has room, from one on that the lease's id chooses. */
async function takeName(
  lane: Lane,
  { externalName }: IssuePlan,
  { iam_roles: roles }: AwsGrant,
  seconds: number,
  { issueBy }: IssueContext,
): Promise<string> {
  const { host, settings } = lane;
  const lifeSeconds = seconds + afterlifeSeconds(lane);
  const until = plusSeconds(issueBy, lifeSeconds + SIGNATURE_SECONDS + SKEW_SECONDS);
  const most = sessionsMax(settings);
  const first = firstPlace(externalName, roles.length);
  for (let nth = 0; nth < roles.length; nth++) {
    const iamRole = roles[(first + nth) % roles.length] ?? "";
    const taken = await host.names
      .take(externalName, placeOf(iamRole), until, most)
      .catch((thrown: unknown) => {
        throw failures.toBackendError(thrown, "issue", "none");
      });
    if (taken === "taken") return iamRole;
    if (taken === "known") {
      throw new BackendError("AWS, issue: the lease's name was used before; nothing was sent", {
        effect: "none",
        retry: { kind: "never" },
      });
    }
  }
  throw new BackendError(
    `AWS, issue: each IAM role of this role has ${most} sessions that are out or were ended and ` +
      "have not expired, and could deny no more; name further IAM roles, or wait",
    { effect: "none", retry: { kind: "after", seconds: durationSeconds(30) } },
  );
}

function firstPlace(name: string, count: number): number {
  let sum = 0;
  for (const sign of name) sum = (sum * 31 + sign.charCodeAt(0)) % 65_521;
  return sum % count;
}

/** It can only free room earlier: without it the name counts until the longest time is over. */
const shorten = ({ host }: Lane, name: string, until: InstantMs): Promise<void> =>
  host.names.shorten(name, until).catch(() => undefined);

async function assumeRole(
  { api, settings, host }: Lane,
  plan: IssuePlan,
  wanted: { readonly grant: AwsGrant; readonly iamRole: string; readonly seconds: number },
  context: IssueContext,
): Promise<AssumeRoleCommandOutput> {
  const { grant, iamRole, seconds } = wanted;
  const aws = await api();
  const wantedSession = {
    RoleArn: arnOfRole(settings, iamRole),
    RoleSessionName: plan.externalName,
    // Kept by all that the session does, in CloudTrail too, where it tells the lease's id.
    SourceIdentity: leaseName(host.installation, plan.leaseId),
    Policy: sessionPolicy(grant.statements),
    DurationSeconds: seconds,
    Tags: [
      { Key: "mayfly:task", Value: context.taskId },
      { Key: "mayfly:lease", Value: plan.leaseId },
      { Key: "mayfly:workload", Value: grant.workload },
      ...(grant.subject === undefined ? [] : [{ Key: "mayfly:subject", Value: grant.subject }]),
      ...Object.entries(grant.tags).map(([Key, Value]) => ({ Key, Value })),
    ],
    ...(grant.external_id === undefined ? {} : { ExternalId: grant.external_id }),
  };
  const late = new AbortController();
  const answered = new AbortController();
  using signal = linkSignals(context.signal, late.signal);
  context.clock.sleep(Math.max(0, context.issueBy - context.clock.now()), answered.signal).then(
    () => late.abort(new Error("past its deadline")),
    () => undefined,
  );
  try {
    const within = { ...context, signal: signal.signal };
    return await aws.assumeRole(wantedSession, within, () => failures.refuseLate(context, "issue"));
  } finally {
    answered.abort(new Error("answered"));
  }
}

function sessionEnd({ Credentials: given }: AssumeRoleCommandOutput): InstantMs {
  const end = given?.Expiration?.getTime();
  if (end === undefined) throw new AwsFailure("lost", "the answer has no credentials");
  return instantMs(end);
}

function issuedOf(
  lane: Lane,
  plan: IssuePlan,
  iamRole: string,
  answer: AssumeRoleCommandOutput,
): Issued {
  const { settings } = lane;
  const until = sessionEnd(answer);
  const deniedUntil = plusSeconds(until, afterlifeSeconds(lane));
  const { AccessKeyId: id, SecretAccessKey: key, SessionToken: token } = answer.Credentials ?? {};
  if (id === undefined || key === undefined || token === undefined) {
    throw new AwsFailure("lost", "the answer has no credentials");
  }
  return {
    material: {
      access_key_id: id,
      secret_access_key: Secret.of(key),
      session_token: Secret.of(token),
      region: settings.region,
      account_id: settings.account_id,
      assumed_role_arn: answer.AssumedRoleUser?.Arn ?? null,
      /** For the SDK's caches; the lease may end before. */
      session_expires_at: new Date(until).toISOString(),
    },
    fingerprintOf: "secret_access_key",
    expiresAt: earliest(plan.expiresAt, until),
    handle: writeHandle({
      name: plan.externalName,
      place: placeOf(iamRole),
      until: deniedUntil,
    }),
  };
}

import { Secret, type IssueContext, type IssuePlan, type Issued } from "@mayfly/spec";
import { userOf, userPath, type Lane } from "./lane.ts";
import { writeHandle, writeMark } from "./lease-mark.ts";
import { anchored } from "./name-pattern.ts";
import { passwordHash } from "./password-hash.ts";
import { failures } from "./rabbit-failure.ts";
import { leases } from "./role-settings.ts";

/** 256 bits: nothing to guess, so that one round of SHA-256 is enough. */
const PASSWORD_BYTES = 32;

/** A context whose calls are given up at the deadline of the mint. */
function untilIssueBy(context: IssueContext): {
  readonly context: IssueContext;
  readonly stop: () => void;
} {
  const over = new AbortController();
  const timer = new AbortController();
  context.clock.sleep(Math.max(0, context.issueBy - context.clock.now()), timer.signal).then(
    () => over.abort(new Error("past its deadline")),
    () => undefined,
  );
  return {
    context: { ...context, signal: AbortSignal.any([context.signal, over.signal]) },
    stop: () => timer.abort(new Error("done")),
  };
}

/**
 * Makes the user, then what it may do: a user without permissions is let into no virtual host.
 *
 * PUT makes or alters, but of a mint there is one request under way at most, and a late one gives
 * nobody anything: a user that comes late has no permissions, and permissions need a user.
 */
export async function issue(lane: Lane, plan: IssuePlan, given: IssueContext): Promise<Issued> {
  const { host } = lane;
  const name = plan.externalName;
  const password = Buffer.from(host.random.bytes(PASSWORD_BYTES)).toString("base64url");
  const { context, stop } = untilIssueBy(given);
  try {
    await makeUser(lane, name, passwordHash(password, host.random), context);
    await permit(lane, plan, context);
  } finally {
    stop();
  }
  return {
    material: materialOf(lane, plan, password),
    fingerprintOf: "password",
    expiresAt: plan.expiresAt,
    handle: writeHandle(name),
  };
}

async function makeUser(
  { mints, host }: Lane,
  name: string,
  hash: string,
  context: IssueContext,
): Promise<void> {
  const beforeSend = (): void => failures.refuseLate(context, "issue");
  try {
    if ((await userOf(mints, name, context, beforeSend)) !== null)
      throw failures.nameTaken("a user");
  } catch (thrown) {
    // Nothing was made yet, whatever became of the looking.
    throw failures.toBackendError(thrown, "issue", "none");
  }
  const { status } = await mints.call("PUT", userPath(name), context, {
    body: {
      password_hash: hash,
      hashing_algorithm: "rabbit_password_hashing_sha256",
      tags: writeMark({ kind: "lease", name }, host),
    },
    beforeSend,
  });
  // 204: it has altered one that came to be after we had looked.
  if (status !== 201) throw failures.nameTaken("a user");
}

async function permit({ mints }: Lane, plan: IssuePlan, context: IssueContext): Promise<void> {
  const { vhost, topics, ...may } = leases.grantOf(plan);
  const at = `${encodeURIComponent(vhost)}/${encodeURIComponent(plan.externalName)}`;
  const beforeSend = (): void => failures.refuseLate(context, "issue");
  try {
    for (const { exchange, write, read } of topics) {
      await mints.call("PUT", `/api/topic-permissions/${at}`, context, {
        body: { exchange, write: anchored(write), read: anchored(read) },
        beforeSend,
      });
    }
    // Last, since without it nothing else counts.
    await mints.call("PUT", `/api/permissions/${at}`, context, {
      body: {
        configure: anchored(may.configure),
        write: anchored(may.write),
        read: anchored(may.read),
      },
      beforeSend,
    });
  } catch (thrown) {
    // The user is there by now, whatever became of the rest.
    throw failures.withEffect(thrown, "issue", "unknown");
  }
}

function materialOf({ settings }: Lane, plan: IssuePlan, password: string): Issued["material"] {
  const { vhost } = leases.grantOf(plan);
  const { tls, port, host = settings.host } = settings.amqp;
  const name = host.includes(":") ? `[${host}]` : host;
  const at = `${name}:${port}/${encodeURIComponent(vhost)}`;
  return {
    host,
    port,
    vhost,
    username: plan.externalName,
    password: Secret.of(password),
    tls,
    url: Secret.of(`${tls ? "amqps" : "amqp"}://${plan.externalName}:${password}@${at}`),
  };
}

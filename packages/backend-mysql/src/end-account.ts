import type { CallContext, Probe, Revoked, Secret } from "@mayfly/spec";
import { quoted, readHandle, type Account } from "./account-mark.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import { ERRNO, MysqlFailure, toBackendError, unfinished } from "./mysql-failure.ts";
import { deadlineIn, numberIn, type Servers } from "./servers.ts";

/** Looks for sessions before the end is called unfinished; it is tried again later. */
const ROUNDS_MAX = 20;
const PAUSE_MS = 50;
/** Statements of one end, one after the other, each bounded by `call_seconds_max`. */
const STATEMENTS_IN_TURN = 4;

export async function revoke(
  servers: Servers,
  handle: Secret,
  context: CallContext,
): Promise<Revoked> {
  await endAccount(servers, readHandle(handle), context);
  return { outcome: "refused" };
}

/**
 * No new logins, no sessions, no account, and again no sessions: one that was let in at the moment
 * of the lock shows itself by then. Each step is safe to repeat.
 */
export async function endAccount(
  servers: Servers,
  account: Account,
  context: CallContext,
): Promise<void> {
  const ms = servers.settings.call_seconds_max * 1_000 * STATEMENTS_IN_TURN;
  const deadline = deadlineIn(context, ms);
  try {
    await servers.work.run(`ALTER USER IF EXISTS ${quoted(account)} ACCOUNT LOCK`, deadline);
    await cutSessions(servers, account, deadline);
    await servers.work.run(`DROP USER IF EXISTS ${quoted(account)}`, deadline);
    await cutSessions(servers, account, deadline);
    if ((await accountsAt(servers.work, account, deadline)) > 0) {
      throw unfinished("revoke: the account is there again");
    }
    await servers.work.run(`DELETE FROM ${servers.marks} WHERE name = ?`, deadline, [account.name]);
  } catch (thrown) {
    throw toBackendError(thrown, "revoke");
  }
}

const endpointsOf = ({ work, replicas }: Servers): readonly Endpoint[] => [work, ...replicas];

async function cutSessions(servers: Servers, account: Account, deadline: Deadline): Promise<void> {
  const { clock } = servers.host;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const left = await Promise.all(
      endpointsOf(servers).map((endpoint) => killAll(endpoint, account, deadline)),
    );
    if (left.every((count) => count === 0)) return;
    await clock.sleep(PAUSE_MS, deadline.signal);
  }
  throw unfinished("revoke: sessions of the lease do not end");
}

/** How many there were. `KILL` only asks; whoever asks looks again. */
async function killAll(endpoint: Endpoint, account: Account, deadline: Deadline): Promise<number> {
  const { rows } = await endpoint.run(SESSIONS, deadline, [account.name]);
  for (const row of rows) {
    try {
      await endpoint.run(`KILL CONNECTION ${numberIn(row, "id")}`, deadline);
    } catch (thrown) {
      const isGone = thrown instanceof MysqlFailure && thrown.errno === ERRNO.unknownThread;
      if (!isGone) throw thrown;
    }
  }
  return rows.length;
}

/** Names differ by case, which the server's own list of sessions does not tell apart. */
const SESSIONS = `SELECT ID AS id FROM information_schema.PROCESSLIST
  WHERE CAST(USER AS BINARY) = CAST(? AS BINARY)`;

export async function accountsAt(
  endpoint: Endpoint,
  account: Account,
  deadline: Deadline,
): Promise<number> {
  const { rows } = await endpoint.run(
    `SELECT COUNT(*) AS count FROM mysql.user
     WHERE CAST(User AS BINARY) = CAST(? AS BINARY) AND Host = ?`,
    deadline,
    [account.name, account.host],
  );
  return numberIn(rows[0], "count");
}

/** An account that is there, locked or not, counts as accepted: it is to be gone. */
export async function probe(
  servers: Servers,
  handle: Secret,
  context: CallContext,
): Promise<Probe> {
  const account = readHandle(handle);
  const deadline = deadlineIn(context, servers.settings.call_seconds_max * 1_000);
  try {
    const looks = await Promise.all(
      endpointsOf(servers).map(async (endpoint) => ({
        accounts: await accountsAt(endpoint, account, deadline),
        sessions: (await endpoint.run(SESSIONS, deadline, [account.name])).rows.length,
      })),
    );
    const sum = (of: "accounts" | "sessions"): number =>
      looks.reduce((total, look) => total + look[of], 0);
    const looked = { servers: looks.length, accounts: sum("accounts"), sessions: sum("sessions") };
    return { verdict: looked.accounts + looked.sessions > 0 ? "accepted" : "refused", looked };
  } catch (thrown) {
    throw toBackendError(thrown, "probe");
  }
}

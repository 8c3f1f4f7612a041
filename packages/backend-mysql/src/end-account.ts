import type { CallContext, Probe, Revoked, Secret } from "@mayfly/spec";
import { quoted, readHandle, type Account } from "./account-mark.ts";
import type { Deadline, Endpoint, Row, Session } from "./endpoint.ts";
import { ERRNO, MysqlFailure, unfinished } from "./mysql-failure.ts";
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
 * No new logins, no sessions, no account on any server, and again no sessions: one that was let in
 * before a replica heard of it shows itself by then. The mark goes last, since what is left without
 * one is nobody's. Each step is safe to repeat.
 */
export async function endAccount(
  servers: Servers,
  account: Account,
  context: CallContext,
): Promise<void> {
  const ms = servers.settings.call_seconds_max * 1_000 * STATEMENTS_IN_TURN;
  const deadline = deadlineIn(context, ms);
  await servers.work.run(`ALTER USER IF EXISTS ${quoted(account)} ACCOUNT LOCK`, deadline);
  await cutSessions(servers, account, deadline);
  await servers.work.run(`DROP USER IF EXISTS ${quoted(account)}`, deadline);
  await awaitGone(servers, account, deadline);
  await cutSessions(servers, account, deadline);
  if ((await accountsAt(servers.work, account, deadline)) > 0) {
    throw unfinished("revoke: the account is there again");
  }
  await servers.work.run(`DELETE FROM ${servers.marks} WHERE name = ?`, deadline, [account.name]);
}

const onEach = <T>(
  { work, replicas }: Servers,
  look: (endpoint: Endpoint) => Promise<T>,
): Promise<readonly T[]> => Promise.all([work, ...replicas].map((endpoint) => look(endpoint)));

/** Until every server answers 0; `what` is told where that does not come about. */
async function until0(
  servers: Servers,
  deadline: Deadline,
  what: string,
  look: (endpoint: Endpoint) => Promise<number>,
): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const left = await onEach(servers, look);
    if (left.every((count) => count === 0)) return;
    await servers.host.clock.sleep(PAUSE_MS, deadline.signal);
  }
  throw unfinished(what);
}

/** A replica hears of it later, and lets the lease in until then. */
const awaitGone = (servers: Servers, account: Account, deadline: Deadline): Promise<void> =>
  until0(servers, deadline, "revoke: the account does not go away on every server", (endpoint) =>
    accountsAt(endpoint, account, deadline),
  );

const cutSessions = (servers: Servers, account: Account, deadline: Deadline): Promise<void> =>
  until0(servers, deadline, "revoke: sessions of the lease do not end", (endpoint) =>
    endpoint.session(deadline, (session) => killAll(session, account)),
  );

/** How many there were. `KILL` only asks; whoever asks looks again. */
async function killAll(session: Session, account: Account): Promise<number> {
  const rows = await sessionsOf(session, account);
  for (const row of rows) {
    try {
      await session.run(`KILL CONNECTION ${numberIn(row, "id")}`);
    } catch (thrown) {
      const isGone = thrown instanceof MysqlFailure && thrown.errno === ERRNO.unknownThread;
      if (!isGone) throw thrown;
    }
  }
  return rows.length;
}

/**
 * Whoever lacks PROCESS is shown its own sessions alone and no error, so the right is asked for
 * in the same session: what it was granted at log-in counts, whichever role gave it.
 */
async function sessionsOf(session: Session, account: Account): Promise<readonly Row[]> {
  if (!(await seesAllSessions(session))) {
    throw unfinished("the broker's account lacks PROCESS on a server, so no end can be proved");
  }
  return (await session.run(SESSIONS, [account.name])).rows;
}

/** By a small table that the server shows to nobody else. */
export async function seesAllSessions(session: Session): Promise<boolean> {
  try {
    await session.run("SELECT COUNT(*) AS count FROM information_schema.INNODB_CMP");
    return true;
  } catch (thrown) {
    if (thrown instanceof MysqlFailure && thrown.errno === ERRNO.accessDenied) return false;
    throw thrown;
  }
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
  const looks = await onEach(servers, async (endpoint) => ({
    accounts: await accountsAt(endpoint, account, deadline),
    sessions: await endpoint.session(
      deadline,
      async (session) => (await sessionsOf(session, account)).length,
    ),
  }));
  const sum = (of: "accounts" | "sessions"): number =>
    looks.reduce((total, look) => total + look[of], 0);
  const looked = { servers: looks.length, accounts: sum("accounts"), sessions: sum("sessions") };
  return { verdict: looked.accounts + looked.sessions > 0 ? "accepted" : "refused", looked };
}

import type { BackendError } from "@mayfly/spec";
import { quoted, type Account } from "./account-mark.ts";
import type { Deadline, Endpoint, Row, Session } from "./endpoint.ts";
import { ERRNO, MysqlFailure, unfinished } from "./mysql-failure.ts";
import { numberIn, textIn, type Servers } from "./servers.ts";

/** Looks for sessions before the end is called unfinished; it is tried again later. */
const ROUNDS_MAX = 20;
const PAUSE_MS = 50;

/** Of one account: that it ended, or why not; the others do not hang on it. */
export type AccountEnd = "ended" | BackendError;

/**
 * No new logins, no sessions, no accounts on any server, and again no sessions: one that was let in
 * before a replica heard of it shows itself by then. The marks go last, since what is left without
 * one is nobody's. Each step is safe to repeat, and a statement that is refused is one for all of
 * them: it rejects with {@link MysqlFailure}, and some of them may be gone.
 */
export async function endAccounts(
  servers: Servers,
  accounts: readonly Account[],
  deadline: Deadline,
): Promise<ReadonlyMap<Account, AccountEnd>> {
  const { work } = servers;
  const ends = new Map<Account, AccountEnd>(accounts.map((account) => [account, "ended"]));
  /** Goes on without those of whom something is left, which `why` says of them. */
  const without = (names: ReadonlySet<string>, why: string): readonly Account[] => {
    for (const account of accounts) {
      if (names.has(account.name)) ends.set(account, unfinished(why));
    }
    return accounts.filter((account) => ends.get(account) === "ended");
  };
  const SESSIONS_LEFT = "revoke: sessions of the lease do not end";

  await work.run(`ALTER USER IF EXISTS ${listed(accounts)} ACCOUNT LOCK`, deadline);
  let going = without(await cutSessions(servers, accounts, deadline), SESSIONS_LEFT);
  if (going.length > 0) await work.run(`DROP USER IF EXISTS ${listed(going)}`, deadline);
  const there = await leftAfter(servers, deadline, (endpoint) =>
    accountsAt(endpoint, going, deadline),
  );
  going = without(there, "revoke: the account does not go away on every server");
  going = without(await cutSessions(servers, going, deadline), SESSIONS_LEFT);
  const again = new Set(await accountsAt(work, going, deadline));
  going = without(again, "revoke: the account is there again");
  if (going.length > 0) {
    const names = going.map(({ name }) => name);
    const text = `DELETE FROM ${servers.marks} WHERE name IN (${names.map(() => "?").join(", ")})`;
    await work.run(text, deadline, names);
  }
  return ends;
}

/** Two ends of one account may meet in a batch; a statement names it once. */
const listed = (accounts: readonly Account[]): string =>
  [...new Set(accounts.map(quoted))].join(", ");

export const onEach = <T>(
  { work, replicas }: Servers,
  look: (endpoint: Endpoint) => Promise<T>,
): Promise<readonly T[]> => Promise.all([work, ...replicas].map((endpoint) => look(endpoint)));

/** Of which names something is left on a server, however often one looks. */
async function leftAfter(
  servers: Servers,
  deadline: Deadline,
  look: (endpoint: Endpoint) => Promise<readonly string[]>,
): Promise<ReadonlySet<string>> {
  for (let round = 1; ; round++) {
    const left = new Set((await onEach(servers, look)).flat());
    if (left.size === 0 || round === ROUNDS_MAX) return left;
    await servers.host.clock.sleep(PAUSE_MS, deadline.signal);
  }
}

const cutSessions = (
  servers: Servers,
  accounts: readonly Account[],
  deadline: Deadline,
): Promise<ReadonlySet<string>> =>
  leftAfter(servers, deadline, (endpoint) =>
    endpoint.session(deadline, (session) => killAll(session, accounts)),
  );

/** Whose there were. `KILL` only asks; whoever asks looks again. */
async function killAll(session: Session, accounts: readonly Account[]): Promise<readonly string[]> {
  const rows = await sessionsOf(session, accounts);
  const kills = rows.map((row) => session.run(`KILL CONNECTION ${numberIn(row, "id")}`));
  for (const kill of await Promise.allSettled(kills)) {
    if (kill.status === "fulfilled") continue;
    const thrown: unknown = kill.reason;
    const isGone = thrown instanceof MysqlFailure && thrown.errno === ERRNO.unknownThread;
    if (!isGone) throw thrown;
  }
  return rows.map(nameIn);
}

/**
 * Whoever lacks PROCESS is shown its own sessions alone and no error, so the right is asked for
 * in the same session: what it was granted at log-in counts, whichever role gave it.
 */
export async function sessionsOf(
  session: Session,
  accounts: readonly Account[],
): Promise<readonly Row[]> {
  if (!(await seesAllSessions(session))) {
    throw unfinished("the broker's account lacks PROCESS on a server, so no end can be proved");
  }
  if (accounts.length === 0) return [];
  // Names differ by case, which the server's own list of sessions does not tell apart.
  const text = `SELECT ID AS id, USER AS name FROM information_schema.PROCESSLIST
    WHERE CAST(USER AS BINARY) IN (${placesFor(accounts)})`;
  return (
    await session.run(
      text,
      accounts.map(({ name }) => name),
    )
  ).rows;
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

const placesFor = (accounts: readonly Account[]): string =>
  accounts.map(() => "CAST(? AS BINARY)").join(", ");

/** A row proves that something is there, so one without a name is no answer. */
export function nameIn(row: Row): string {
  const name = textIn(row, "name");
  if (name === null) throw new MysqlFailure("lost", "the answer has no name");
  return name;
}

const placeOf = ({ name, host }: Account): string => `${name}@${host.toLowerCase()}`;

/** Names of those that are there, each for its own host. */
export async function accountsAt(
  endpoint: Endpoint,
  accounts: readonly Account[],
  deadline: Deadline,
): Promise<readonly string[]> {
  if (accounts.length === 0) return [];
  const { rows } = await endpoint.run(
    `SELECT User AS name, Host AS host FROM mysql.user
     WHERE CAST(User AS BINARY) IN (${placesFor(accounts)})`,
    deadline,
    accounts.map(({ name }) => name),
  );
  const asked = new Set(accounts.map(placeOf));
  return rows
    .map((row) => ({ name: nameIn(row), host: textIn(row, "host") ?? "" }))
    .filter((found) => asked.has(placeOf(found)))
    .map(({ name }) => name);
}

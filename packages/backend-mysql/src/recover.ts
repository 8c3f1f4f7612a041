import { waitMs } from "@mayfly/backend-kit";
import type { IssuePlan, RecoverContext, Recovered } from "@mayfly/spec";
import { quoted, readMarkOf, writeMark, type Account, type Mark } from "./account-mark.ts";
import type { Deadline } from "./endpoint.ts";
import { ERRNO, MysqlFailure, unfinished } from "./mysql-failure.ts";
import type { OpenServers } from "./open-servers.ts";
import { endAccount } from "./revoke.ts";
import { deadlineIn, NOW_MS, numberIn, textIn, type Servers } from "./servers.ts";

/** Looks at a name whose mark others change meanwhile, before it is called unfinished. */
const LOOKS_MAX = 3;

/**
 * Takes the name first, with an account that is locked and whose password nobody knows: a mint
 * that comes later fails on it. After the quarantine the tombstone goes, and with it whatever a
 * late mint may have made of it.
 *
 * The account's host is the one of its mark: `account_host` may have changed since the mint.
 */
export async function recover(
  servers: OpenServers,
  plan: IssuePlan,
  context: RecoverContext,
): Promise<Recovered> {
  const name = plan.externalName;
  const deadline = deadlineIn(context, servers.settings.call_seconds_max * 1_000);
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const { nowMs, text, account, mark, hosts } = await lookAt(servers, name, deadline);
    if (mark?.kind === "tombstone") {
      const leftMs = mark.at + servers.host.quarantineSeconds * 1_000 - nowMs;
      if (leftMs > 0) return waitMs(leftMs);
      await endAccount(servers, account, context);
      await refuseOthers(servers, name, deadline);
      return { outcome: "absent", looked: { accounts: 0 } };
    }
    if (hosts.includes(account.host)) {
      await context.found({ accounts: 1 });
      await endAccount(servers, account, context);
      await refuseOthers(servers, name, deadline);
      return { outcome: "destroyed", looked: { accounts: 1 } };
    }
    if (await takeName(servers, account, text, deadline)) {
      return waitMs(servers.host.quarantineSeconds * 1_000);
    }
  }
  throw unfinished("recover: others change the mark of the name meanwhile");
}

interface Look {
  readonly nowMs: number;
  /** What our table has for the name, be it a mark or not. */
  readonly text: string | null;
  readonly account: Account;
  readonly mark: Mark | null;
  /** For which hosts there are accounts of the name. */
  readonly hosts: readonly string[];
}

async function lookAt(
  { work, marks, host, settings }: Servers,
  name: string,
  deadline: Deadline,
): Promise<Look> {
  const { rows } = await work.run(
    `SELECT ${NOW_MS} AS now_ms, (SELECT mark FROM ${marks} WHERE name = ?) AS mark`,
    deadline,
    [name],
  );
  const text = textIn(rows[0], "mark");
  const found = readMarkOf(name, text, host);
  return {
    nowMs: numberIn(rows[0], "now_ms"),
    text,
    account: found?.account ?? { name, host: settings.account_host },
    mark: found?.mark ?? null,
    hosts: await hostsOf({ work }, name, deadline),
  };
}

async function hostsOf(
  { work }: Pick<Servers, "work">,
  name: string,
  deadline: Deadline,
): Promise<readonly string[]> {
  const { rows } = await work.run(
    "SELECT Host AS host FROM mysql.user WHERE CAST(User AS BINARY) = CAST(? AS BINARY)",
    deadline,
    [name],
  );
  return rows.map((row) => (textIn(row, "host") ?? "").toLowerCase());
}

/** Nothing says whose it is, so it is not dropped; but while it is there, nothing is proved. */
async function refuseOthers(servers: Servers, name: string, deadline: Deadline): Promise<void> {
  if ((await hostsOf(servers, name, deadline)).length === 0) return;
  throw unfinished(
    "recover: an account of the lease's name, for another host, has no mark of ours",
  );
}

/**
 * The mark first: without one a tombstone would be taken for a lease's account. It takes the place
 * of what was seen and of nothing else; false where that is there no more.
 */
async function takeName(
  servers: Servers,
  account: Account,
  seen: string | null,
  deadline: Deadline,
): Promise<boolean> {
  const { work, host } = servers;
  const { rows } = await work.run(`SELECT ${NOW_MS} AS now_ms`, deadline);
  const at = numberIn(rows[0], "now_ms");
  const mark = writeMark(account, { kind: "tombstone", at }, host);
  if (!(await putMark(servers, { name: account.name, mark, seen }, deadline))) return false;
  try {
    await work.run(`CREATE USER ${quoted(account)} ACCOUNT LOCK`, deadline);
  } catch (thrown) {
    // A mint that was under way, or another who recovers: looked at when it is called again.
    const isThere = thrown instanceof MysqlFailure && thrown.errno === ERRNO.cannotUser;
    if (!isThere) throw thrown;
  }
  return true;
}

interface Replacement {
  readonly name: string;
  readonly mark: string;
  readonly seen: string | null;
}

async function putMark(
  { work, marks }: Servers,
  { name, mark, seen }: Replacement,
  deadline: Deadline,
): Promise<boolean> {
  try {
    const { changed } =
      seen === null
        ? await work.run(`INSERT INTO ${marks} (name, mark) VALUES (?, ?)`, deadline, [name, mark])
        : await work.run(`UPDATE ${marks} SET mark = ? WHERE name = ? AND mark = ?`, deadline, [
            mark,
            name,
            seen,
          ]);
    return changed > 0;
  } catch (thrown) {
    if (thrown instanceof MysqlFailure && thrown.errno === ERRNO.duplicateEntry) return false;
    throw thrown;
  }
}

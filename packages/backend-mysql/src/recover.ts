import { durationSeconds, type IssuePlan, type RecoverContext, type Recovered } from "@mayfly/spec";
import { quoted, readMark, writeMark, type Account } from "./account-mark.ts";
import { accountsAt, endAccount } from "./end-account.ts";
import type { Deadline } from "./endpoint.ts";
import { ERRNO, MysqlFailure, toBackendError } from "./mysql-failure.ts";
import { deadlineIn, NOW_MS, numberIn, textIn, type Servers } from "./servers.ts";

/**
 * Takes the name first, with an account that is locked and whose password nobody knows: a mint
 * that comes later fails on it. After the quarantine the tombstone goes, and with it whatever a
 * late mint may have made of it.
 */
export async function recover(
  servers: Servers,
  plan: IssuePlan,
  context: RecoverContext,
): Promise<Recovered> {
  const account = { name: plan.externalName, host: servers.settings.account_host };
  const deadline = deadlineIn(context, servers.settings.call_seconds_max * 1_000);
  try {
    const { nowMs, takenAt } = await lookAtMark(servers, account, deadline);
    const isThere = (await accountsAt(servers.work, account, deadline)) > 0;
    if (takenAt === null) {
      if (!isThere) return await takeName(servers, account, deadline);
      await endAccount(servers, account, context);
      return { outcome: "destroyed", looked: { accounts: 1 } };
    }
    const leftMs = takenAt + servers.host.quarantineSeconds * 1_000 - nowMs;
    if (leftMs > 0) return waiting(leftMs);
    await endAccount(servers, account, context);
    return { outcome: "absent", looked: { accounts: 0 } };
  } catch (thrown) {
    throw toBackendError(thrown, "recover");
  }
}

const waiting = (ms: number): Recovered => ({
  outcome: "wait",
  seconds: durationSeconds(Math.max(1, Math.ceil(ms / 1_000))),
  reason: "the name is kept by a tombstone",
});

async function lookAtMark(
  { work, marks, host }: Servers,
  account: Account,
  deadline: Deadline,
): Promise<{ readonly nowMs: number; readonly takenAt: number | null }> {
  const { rows } = await work.run(
    `SELECT ${NOW_MS} AS now_ms, (SELECT mark FROM ${marks} WHERE name = ?) AS mark`,
    deadline,
    [account.name],
  );
  const mark = readMark(textIn(rows[0], "mark"), account, host);
  return {
    nowMs: numberIn(rows[0], "now_ms"),
    takenAt: mark?.kind === "tombstone" ? mark.at : null,
  };
}

/** The mark first: without one a tombstone would be taken for a lease's account. */
async function takeName(
  { work, marks, host }: Servers,
  account: Account,
  deadline: Deadline,
): Promise<Recovered> {
  const { rows } = await work.run(`SELECT ${NOW_MS} AS now_ms`, deadline);
  const at = numberIn(rows[0], "now_ms");
  const mark = writeMark(account, { kind: "tombstone", at }, host);
  await work.run(
    `INSERT INTO ${marks} (name, mark) VALUES (?, ?) ON DUPLICATE KEY UPDATE mark = VALUES(mark)`,
    deadline,
    [account.name, mark],
  );
  try {
    await work.run(`CREATE USER ${quoted(account)} ACCOUNT LOCK`, deadline);
  } catch (thrown) {
    // A mint that was under way, or another who recovers: looked at when it is called again.
    const isThere = thrown instanceof MysqlFailure && thrown.errno === ERRNO.cannotUser;
    if (!isThere) throw thrown;
  }
  return waiting(host.quarantineSeconds * 1_000);
}

import { BrokerError, InvalidInput } from "@mayfly/spec";
import { actAsMigrator } from "./database-roles.ts";
import {
  eraseLoners,
  eraseTrees,
  type BatchDone,
  type Erasing,
  type Skipped,
} from "./erase-batch.ts";
import { ERASED_TABLES, type ErasedTable } from "./erasure-rows.ts";
import { faultOf, toBrokerError } from "./faults.ts";
import { countMentions, findPersonalRows } from "./find-personal-rows.ts";
import { lockHistory, type HistoryLock } from "./history-lock.ts";
import { ERASED, type PersonSelector } from "./personal-values.ts";
import {
  connect,
  CONNECTION_LIMITS,
  databaseRoleOf,
  type ConnectionLimits,
  type Sql,
  type Transaction,
} from "./sql.ts";
import { verifyLog } from "./verify-log.ts";

export interface ErasureOptions {
  /** As who may act as the migrator. */
  readonly url: string;
  /** Trees of tasks, or rows of no task, in one transaction. */
  readonly batch?: number;
}

export interface Erased extends BatchDone {
  /** Rows that name the person within a longer text, which stay as they are. */
  readonly mentions: number;
  /**
   * Whether old versions of the rows, and the server's statistics of their values, are gone too;
   * null: nothing was written.
   */
  readonly cleaned: boolean | null;
}

/** Takes one person's values out of the history; it may be repeated after a crash. */
export interface Erasure {
  /** What {@link erase} would do now. */
  plan(selector: PersonSelector): Promise<Erased>;
  /** Batch by batch, each whole or not at all: after a crash the same call goes on. */
  erase(selector: PersonSelector, reason: string): Promise<Erased>;
  close(): Promise<void>;
}

const BATCH = 20;
const STATEMENT_MS = 10 * 60_000;
/** What is shorter is too often the same by chance; what is longer no name. */
const NAME_LENGTH = { min: 3, max: 1000 } as const;
const REASON_LENGTH_MAX = 1000;

/** Throws `conflict` where another one works, or where leaves are not salted yet. */
export async function openErasure({ url, batch = BATCH }: ErasureOptions): Promise<Erasure> {
  const limits: ConnectionLimits = {
    ...CONNECTION_LIMITS,
    statementTimeoutMs: STATEMENT_MS,
    callMs: STATEMENT_MS,
    keepsConnections: true,
  };
  // One connection: its role has to hold for all that follows.
  const sql = connect(url, "mayfly-erasure", 1, limits);
  const guarded = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      throw toBrokerError(error, databaseRoleOf(url));
    }
  };
  const lock = await guarded(() => lockHistory(url)).catch(async (error: unknown) => {
    await sql.end({ timeout: 1 });
    throw error;
  });
  const close = async (): Promise<void> => {
    await lock.release();
    await sql.end({ timeout: 5 });
  };
  await guarded(() => prepare(sql)).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const run = (erasing: Erasing): Promise<Erased> =>
    guarded(() => eraseAll(sql, lock, erasing, batch));
  return {
    plan: async (selector) => run({ selector: parsed(selector), reason: "", dryRun: true }),
    erase: async (selector, reason) => {
      mustNotName(parsed(selector), reason);
      await guarded(() => mustVerify(sql));
      return run({ selector, reason, dryRun: false });
    },
    close,
  };
}

async function prepare(sql: Sql): Promise<void> {
  await actAsMigrator(sql);
  const [head] = await sql<{ leaf_version: number }[]>`
    SELECT leaf_version FROM mayfly.log_head`;
  if (head?.leaf_version === 2) return;
  throw new BrokerError("conflict", "Processes of an earlier version may still read this log.", {
    where: "ledger",
    public: { hint: "When all are of this version, run: mayfly ledger salt" },
  });
}

function parsed(selector: PersonSelector): PersonSelector {
  const { length } = selector.name;
  if (length >= NAME_LENGTH.min && length <= NAME_LENGTH.max && selector.name !== ERASED) {
    return selector;
  }
  const { min, max } = NAME_LENGTH;
  throw new InvalidInput(`name: expected ${min} to ${max} characters`, { where: selector.by });
}

/** It stays in the log for good. */
function mustNotName({ name }: PersonSelector, reason: string): void {
  if (reason.trim() === "" || reason.length > REASON_LENGTH_MAX) {
    const message = `reason: expected 1 to ${REASON_LENGTH_MAX} characters`;
    throw new InvalidInput(message, { where: "reason" });
  }
  if (!reason.toLowerCase().includes(name.toLowerCase())) return;
  throw new InvalidInput("reason: it names the person, and stays in the log for good", {
    where: "reason",
    public: { hint: "Give the number of the request instead." },
  });
}

/** What was altered before would look right ever after. */
async function mustVerify(sql: Sql): Promise<void> {
  const found = await verifyLog(sql, 0, STATEMENT_MS);
  if (found.ok) return;
  throw new BrokerError("check_failed", `The ledger does not verify: ${found.problem}.`, {
    where: "ledger",
    public: { hint: "Nothing was erased. Run: mayfly ledger verify" },
  });
}

async function eraseAll(
  sql: Sql,
  lock: HistoryLock,
  erasing: Erasing,
  batch: number,
): Promise<Erased> {
  const { roots, loners } = await findPersonalRows(sql, erasing.selector);
  let done = NOTHING;
  lock.mustHold();
  const inBatches = async <T>(
    found: readonly T[],
    erase: (tx: Transaction, some: readonly T[]) => Promise<BatchDone>,
  ): Promise<void> => {
    for (let at = 0; at < found.length; at += batch) {
      lock.mustHold();
      done = sum(done, await sql.begin((tx) => erase(tx, found.slice(at, at + batch))));
    }
  };
  await inBatches(roots, (tx, some) => eraseTrees(tx, some, erasing));
  await inBatches(loners, (tx, some) => eraseLoners(tx, some, erasing));
  const mentions = await countMentions(sql, erasing.selector);
  return { ...done, mentions, cleaned: erasing.dryRun ? null : await clean(sql) };
}

/** Also when nothing was left to erase: the run before may have been killed before this. */
async function clean(sql: Sql): Promise<boolean> {
  try {
    for (const table of ERASED_TABLES) await sql`VACUUM (ANALYZE) mayfly.${sql(table)}`;
    return true;
  } catch (error) {
    const code = faultOf(error)?.code ?? "";
    if (BUSY.has(code)) return false;
    throw error;
  }
}
/** Somebody holds a lock for longer than we wait, or it takes longer than we may. */
const BUSY: ReadonlySet<string> = new Set(["55P03", "57014", "40P01"]);

const noRows = (): Record<ErasedTable, number> => ({
  tasks: 0,
  task_end_requests: 0,
  decisions: 0,
  leases: 0,
  events: 0,
  selector_ends: 0,
});
const NOTHING: BatchDone = {
  erased: noRows(),
  unsalted: 0,
  skipped: { live: 0, not_logged: 0, unreadable: 0 },
};
const REASONS = ["live", "not_logged", "unreadable"] as const satisfies readonly Skipped[];

function sum(left: BatchDone, right: BatchDone): BatchDone {
  const erased = noRows();
  for (const table of ERASED_TABLES) erased[table] = left.erased[table] + right.erased[table];
  const skipped = { live: 0, not_logged: 0, unreadable: 0 };
  for (const why of REASONS) skipped[why] = left.skipped[why] + right.skipped[why];
  return { erased, skipped, unsalted: left.unsalted + right.unsalted };
}

import {
  BrokerError,
  type Clock,
  type InstallationId,
  type LogExporter,
  type Random,
} from "@mayfly/spec";
import { appendEvents, MIGRATOR } from "./append-events.ts";
import { faultOf, toBrokerError } from "./faults.ts";
import { lockHistory } from "./history-lock.ts";
import { selectInstallation } from "./installation.ts";
import { readLogCut } from "./log-cut.ts";
import { createLogExporter } from "./log-exporter.ts";
import { readRetentionPlan, type RetentionCut, type RetentionPlan } from "./retention-plan.ts";
import { readApplied } from "./schema-version.ts";
import {
  connect,
  CONNECTION_LIMITS,
  databaseRoleOf,
  texts,
  type ConnectionLimits,
  type Sql,
} from "./sql.ts";

export interface RetentionOptions {
  /** As who may act as the migrator. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** What the exported files hash to. */
export interface CutDigests {
  readonly logSha256: string;
  readonly rowsSha256: string;
}

/** Takes old months out of the ledger, step by step; each step may be repeated after a crash. */
export interface Retention {
  plan(keepMonths: number): Promise<RetentionPlan>;
  readonly exporter: LogExporter;
  /** The rows that leave, as lines of JSON; nothing sealed is in them. */
  rowLines(cut: RetentionCut): AsyncIterable<string>;
  /** From its commit on, the log is verified from the cut on. Throws `conflict`: one is there. */
  record(cut: RetentionCut, digests: CutDigests): Promise<void>;
  /** What a recorded cut left behind; answers the tables that it took out of theirs. */
  detach(): Promise<readonly string[]>;
  /** Drops for good what was detached; answers the tables. */
  drop(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Those that a live thing could be in first, the events last. */
const TABLES = ["leases", "tasks", "task_end_requests", "decisions", "events"] as const;
const PAGE = 1000;
/** A partition is detached under a lock on its table: never at the cost of who works there. */
const LOCK_MS = 200;
const LOCK_TRIES_MAX = 60;
const LOCK_PAUSE_MS = 500;

export async function openRetention(options: RetentionOptions): Promise<Retention> {
  const { url, clock, random } = options;
  const limits: ConnectionLimits = {
    ...CONNECTION_LIMITS,
    statementTimeoutMs: 10 * 60_000,
    callMs: 10 * 60_000,
    keepsConnections: true,
  };
  // One connection: its role has to hold for all that follows.
  const sql = connect(url, "mayfly-retention", 1, limits);
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
  const schema = await guarded(() => actAsMigrator(sql)).catch(async (error: unknown) => {
    await lock.release();
    await sql.end({ timeout: 1 });
    throw error;
  });
  const locked = <T>(run: () => Promise<T>): Promise<T> =>
    guarded(() => {
      lock.mustHold();
      return run();
    });
  return {
    plan: (keepMonths) => guarded(() => readRetentionPlan(sql, keepMonths)),
    exporter: createLogExporter(sql, { clock, random, callMs: limits.callMs }, schema),
    rowLines: (cut) => rowLines(sql, schema.installation.id, cut),
    record: (cut, digests) => locked(() => record(sql, cut, digests)),
    detach: () => locked(() => detachAll(sql, clock)),
    drop: () => locked(() => dropAll(sql)),
    close: async () => {
      await lock.release();
      await sql.end({ timeout: 5 });
    },
  };
}

async function actAsMigrator(sql: Sql) {
  await sql`SET ROLE mayfly_migrator`;
  const installation = await selectInstallation(sql);
  if (installation === null) throw new Error("the ledger has no installation");
  return { installation, version: (await readApplied(sql)).at(-1)?.version ?? 0 };
}

async function* rowLines(
  sql: Sql,
  installation: InstallationId,
  { keptFromId }: RetentionCut,
): AsyncGenerator<string, void, undefined> {
  yield `${JSON.stringify({ mayfly_ledger_rows: 1, installation, kept_from_id: keptFromId })}\n`;
  for (const table of TABLES.filter((each) => each !== "events")) {
    const key = table === "task_end_requests" ? "task_id" : "id";
    let after: string | null = null;
    for (;;) {
      const page: readonly { id: string; line: string }[] = await sql`
        SELECT ${sql(key)} AS id, jsonb_build_object(
          'table', ${table}::text, 'row', to_jsonb(t) - 'sealed_handle')::text AS line
        FROM mayfly.${sql(table)} AS t
        WHERE ${sql(key)} < ${keptFromId}::uuid
          AND (${after}::uuid IS NULL OR ${sql(key)} > ${after}::uuid)
        ORDER BY ${sql(key)} LIMIT ${PAGE}::integer`;
      if (page.length > 0) yield page.map(({ line }) => `${line}\n`).join("");
      after = page.at(-1)?.id ?? null;
      if (page.length < PAGE) break;
    }
  }
}

async function record(sql: Sql, cut: RetentionCut, digests: CutDigests): Promise<void> {
  await sql.begin(async (tx) => {
    const inserted = await tx`
      INSERT INTO mayfly.log_cuts (log_index, chain_hash, kept_from_id, log_sha256, rows_sha256)
      SELECT log_index + 1, chain_hash, ${cut.keptFromId}::uuid, ${digests.logSha256},
        ${digests.rowsSha256}
      FROM mayfly.log_entries
      WHERE log_index = ${cut.logIndex - 1}::float8::bigint
        AND chain_hash = decode(${cut.chainSha256}, 'hex')
      ON CONFLICT DO NOTHING`;
    if (inserted.count === 0) {
      throw new BrokerError("conflict", "Somebody else cut the log meanwhile.", {
        where: "ledger",
      });
    }
    const { logIndex, chainSha256, keptFromId } = cut;
    const data = { logIndex, chainSha256, keptFromId, months: [...cut.months], ...digests };
    await appendEvents(tx, [{ kind: "ledger.cut", actor: MIGRATOR, data }]);
  });
}

interface PartitionRow {
  readonly parent: string;
  readonly name: string;
  readonly attached: boolean;
}

/** Monthly tables that end before the newest cut. `2026_09` sorts as it means. */
async function cutPartitions(sql: Sql): Promise<readonly PartitionRow[]> {
  const cut = await readLogCut(sql);
  if (cut === null) return [];
  const found = await sql<PartitionRow[]>`
    WITH monthly AS MATERIALIZED (
      SELECT c.oid, c.relname AS name, right(c.relname, 7) AS month, p.parent, p.place
      FROM jsonb_array_elements_text(${texts(TABLES)}::text::jsonb)
        WITH ORDINALITY AS p (parent, place)
      JOIN pg_class AS c ON c.relname ~ ('^' || p.parent || '_\\d{4}_\\d{2}$')
        AND c.relnamespace = 'mayfly'::regnamespace AND c.relkind = 'r'
    )
    SELECT m.parent, m.name, i.inhrelid IS NOT NULL AS attached
    FROM monthly AS m LEFT JOIN pg_inherits AS i ON i.inhrelid = m.oid
    WHERE mayfly.uuid7_floor((to_date(m.month, 'YYYY_MM')::timestamp + interval '1 month')
      AT TIME ZONE 'UTC') <= ${cut.keptFromId}::uuid
    ORDER BY m.place, m.name`;
  return found;
}

/**
 * Not CONCURRENTLY: PostgreSQL refuses that beside a default partition. The lock is asked for again
 * and again instead, each time for a moment.
 */
async function detachAll(sql: Sql, clock: Clock): Promise<readonly string[]> {
  const attached = (await cutPartitions(sql)).filter((each) => each.attached);
  if (attached.length > 0) await mustBeExported(sql);
  for (const each of attached) {
    for (let tries = 1; !(await detachOne(sql, each)); tries++) {
      if (tries === LOCK_TRIES_MAX) {
        throw new BrokerError("busy", `${each.name} is in use; try again.`, { where: each.name });
      }
      await clock.sleep(LOCK_PAUSE_MS);
    }
  }
  return attached.map(({ name }) => name);
}

/** Ids are the server's time: a clock that was wrong may have put an event into an old month. */
async function mustBeExported(sql: Sql): Promise<void> {
  const cut = await readLogCut(sql);
  if (cut === null) return;
  const [row] = await sql<{ late: boolean }[]>`
    SELECT EXISTS (
        SELECT FROM mayfly.events_pending AS q WHERE q.event_id < ${cut.keptFromId}::uuid)
      OR EXISTS (
        SELECT FROM mayfly.log_entries AS l JOIN mayfly.events AS e ON e.id = l.event_id
        WHERE l.event_id < ${cut.keptFromId}::uuid AND e.id < ${cut.keptFromId}::uuid
          AND l.log_index >= ${cut.logIndex}::float8::bigint) AS late`;
  if (row?.late !== true) return;
  throw new BrokerError("conflict", "An event of a month that leaves came after the cut.", {
    where: "ledger",
    public: { hint: "Nothing left. Run it again: that event leaves with the next cut." },
  });
}

/** False: somebody works there. */
async function detachOne(sql: Sql, { parent, name }: PartitionRow): Promise<boolean> {
  try {
    await sql.begin(async (tx) => {
      await tx`SELECT set_config('lock_timeout', ${String(LOCK_MS)}, true)`;
      await tx.unsafe(`ALTER TABLE mayfly."${parent}" DETACH PARTITION mayfly."${name}"`);
      // Under the lock: a lease that resurfaced since it was looked at stays where it is.
      const live = parent === "leases" ? "<> 'ended'" : parent === "tasks" ? "= 'active'" : null;
      if (live === null) return;
      const [row] = await tx.unsafe(
        `SELECT EXISTS (SELECT FROM mayfly."${name}" WHERE state ${live}) AS found`,
      );
      if (row?.["found"] === true) {
        throw new BrokerError("conflict", `${name} has a live row again; it stays.`, {
          where: name,
        });
      }
    });
    return true;
  } catch (error) {
    if (faultOf(error)?.code === "55P03") return false;
    throw error;
  }
}

async function dropAll(sql: Sql): Promise<readonly string[]> {
  const detached = (await cutPartitions(sql)).filter((each) => !each.attached);
  const tables = detached.map(({ name }) => name);
  if (tables.length === 0) return tables;
  await sql.begin(async (tx) => {
    for (const name of tables) await tx.unsafe(`DROP TABLE mayfly."${name}"`);
    await appendEvents(tx, [{ kind: "ledger.dropped", actor: MIGRATOR, data: { tables } }]);
  });
  return tables;
}

import { uuidOfId, workloadName, type InstantMs, type Reservation } from "@mayfly/spec";
import { roleCount, type LiveCounts } from "./live-counts.ts";
import { lockTaskPaths, type LockMode } from "./lock-task-paths.ts";
import { rows, texts, uuids, type Statement, type Transaction } from "./sql.ts";

/** What is known of a task or a parent after it was locked. */
export interface TaskFacts {
  readonly id: string;
  readonly ancestors: readonly string[];
  readonly root_id: string;
  readonly depth: number;
  readonly workload_name: string;
  readonly deadline_at: InstantMs;
  /** Active, like all its ancestors, no end requested of any, and before the deadline. */
  readonly open: boolean;
}
interface IdempotencyFacts {
  readonly scope_sha256: string;
  readonly key: string;
  readonly body_sha256: string;
  readonly generation: number;
  readonly expired: boolean;
}
export interface OneTimeFacts {
  readonly issuer: string;
  readonly jti: string;
  readonly scope_sha256: string | null;
  readonly key: string | null;
  readonly body_sha256: string | null;
  readonly confirmation: string | null;
}

/** All that reservations are judged by, read under the locks that keep it true until the commit. */
export interface ReserveFacts {
  readonly lockedTasks: ReadonlySet<string>;
  readonly tasks: ReadonlyMap<string, TaskFacts>;
  readonly lockedKeys: ReadonlySet<string>;
  readonly idempotency: ReadonlyMap<string, IdempotencyFacts>;
  readonly oneTime: ReadonlyMap<string, OneTimeFacts>;
  readonly catalogVersion: number;
  /** Revision of each backend that leases may be reserved on. */
  readonly openBackends: ReadonlyMap<string, number>;
  /**
   * Live leases by `task:`, `workload:` and `role:`, counted up to the largest limit asked;
   * those of a role as {@link LiveCounts} has it.
   */
  readonly live: ReadonlyMap<string, number>;
}

export const idempotencyKey = (of: { readonly scopeSha256: string; readonly key: string }) =>
  JSON.stringify([of.scopeSha256, of.key]);
export const oneTimeKey = (of: { readonly issuer: string; readonly jti: string }) =>
  JSON.stringify([of.issuer, of.jti]);

/** The task that the reservation stands under: itself, or the parent of the one it opens. */
export function standingTask(reservation: Reservation): string | null {
  const { task } = reservation;
  if (task.kind === "existing") return uuidOfId(task.taskId);
  return task.task.parentId === null ? null : uuidOfId(task.task.parentId);
}

export async function readReserveFacts(
  sql: Transaction,
  batch: readonly Reservation[],
  mode: LockMode,
  counts: LiveCounts,
): Promise<ReserveFacts> {
  const tasks = new Set(batch.flatMap((each) => standingTask(each) ?? []));
  const keys = batch.flatMap((each) => each.idempotency ?? []);
  const tokens = batch.flatMap((each) => each.oneTime ?? []);
  const backends = new Set(batch.flatMap((each) => each.leases.map((lease) => lease.backendId)));
  // One message: each statement sees what was committed before it, and so what is read after a
  // lock stays true. The order of the locks is the ledger's: keys, tasks, backends.
  const [lockedKeys, lockedTasks, lockedBackends, read] = await Promise.all([
    keys.length > 0 ? lockKeys(sql, keys, mode) : [],
    tasks.size > 0 ? lockTaskPaths(sql, tasks, mode) : [],
    backends.size > 0 ? lockBackends(sql, backends, mode) : [],
    Promise.all([
      tasks.size > 0 ? readTasks(sql, tasks) : [],
      keys.length > 0 ? readKeys(sql, keys) : [],
      tokens.length > 0 ? readOneTime(sql, tokens) : [],
      readCatalog(sql, backends),
      countLive(sql, batch, counts),
    ]),
  ]);
  const [taskFacts, keyFacts, oneTime, catalog, live] = read;
  const held = new Set(lockedBackends.map((row) => row.id));
  return {
    lockedTasks: new Set(lockedTasks.map((row) => row.id)),
    tasks: new Map(taskFacts.map((row) => [row.id, row])),
    lockedKeys: new Set(
      lockedKeys.map((row) => idempotencyKey({ scopeSha256: row.scope_sha256, key: row.key })),
    ),
    idempotency: new Map(
      keyFacts.map((row) => [idempotencyKey({ scopeSha256: row.scope_sha256, key: row.key }), row]),
    ),
    oneTime: new Map(oneTime.map((row) => [oneTimeKey(row), row])),
    catalogVersion: catalog[0]?.version ?? -1,
    openBackends: new Map(
      catalog.flatMap((row) =>
        row.id !== null && row.revision !== null && held.has(row.id)
          ? [[row.id, row.revision]]
          : [],
      ),
    ),
    live,
  };
}

/**
 * Counts the live leases of each role of the batch again whose count will soon be too old, beside
 * the batches: of 10⁵ it takes many milliseconds, for which every exchange would wait at once. Not
 * waited for; one that fails is counted by the batch that finds it too old.
 */
export function countAhead(
  sql: Statement,
  batch: readonly Reservation[],
  counts: LiveCounts,
): void {
  const limits = new Map<string, number>();
  for (const { leases, limits: of } of batch) {
    for (const { role } of leases) limits.set(role, Math.max(of.perRole, limits.get(role) ?? 0));
  }
  for (const [role, most] of limits) {
    const note = counts.ahead(roleCount(role));
    if (note === null) continue;
    readLive(sql, [{ kind: "role", name: role, id: null, most }]).then(
      ([row]) => note(row?.live ?? 0),
      () => undefined,
    );
  }
}

type Keys = readonly { readonly scopeSha256: string; readonly key: string }[];
const keyRows = (keys: Keys): string =>
  rows(keys.map(({ scopeSha256, key }) => ({ scope_sha256: scopeSha256, key })));

const lockKeys = (sql: Transaction, keys: Keys, mode: LockMode) =>
  sql<{ scope_sha256: string; key: string }[]>`
    SELECT k.scope_sha256, k.key FROM mayfly.idempotency_keys AS k
    WHERE (k.key, k.scope_sha256) IN (
      SELECT w.key, w.scope_sha256
      FROM jsonb_to_recordset(${keyRows(keys)}::text::jsonb) AS w (scope_sha256 text, key text))
    ORDER BY k.key, k.scope_sha256
    FOR UPDATE OF k ${mode === "batch" ? sql`SKIP LOCKED` : sql``}`.execute();

const readKeys = (sql: Transaction, keys: Keys) =>
  sql<IdempotencyFacts[]>`
    SELECT k.scope_sha256, k.key, k.body_sha256, k.generation, k.expires_at <= now() AS expired
    FROM jsonb_to_recordset(${keyRows(keys)}::text::jsonb) AS w (scope_sha256 text, key text)
    JOIN mayfly.idempotency_keys AS k USING (scope_sha256, key)`.execute();

export const readOneTime = (
  sql: Transaction,
  tokens: readonly { readonly issuer: string; readonly jti: string }[],
) =>
  sql<OneTimeFacts[]>`
    SELECT o.issuer, o.jti, o.scope_sha256, o.key, o.body_sha256, o.confirmation
    FROM jsonb_to_recordset(${rows(tokens)}::text::jsonb) AS w (issuer text, jti text)
    JOIN mayfly.one_time_tokens AS o USING (issuer, jti)`.execute();

/** Held against a deletion, which waits for us; a backend that is being changed is skipped. */
const lockBackends = (sql: Transaction, backends: ReadonlySet<string>, mode: LockMode) =>
  sql<{ id: string }[]>`
    SELECT b.id FROM mayfly.backends AS b
    WHERE b.id IN (SELECT jsonb_array_elements_text(${texts(backends)}::text::jsonb))
      AND (b.closing_until IS NULL OR b.closing_until <= now())
    ORDER BY b.id
    FOR KEY SHARE OF b ${mode === "batch" ? sql`SKIP LOCKED` : sql``}`.execute();

const readCatalog = (sql: Transaction, backends: ReadonlySet<string>) =>
  sql<{ version: number; id: string | null; revision: number | null }[]>`
    SELECT v.version::float8 AS version, b.id, b.revision
    FROM mayfly.catalog_version AS v
    LEFT JOIN mayfly.backends AS b
      ON b.id IN (SELECT jsonb_array_elements_text(${texts(backends)}::text::jsonb))
      AND b.enabled AND b.deleted_at IS NULL
      AND (b.closing_until IS NULL OR b.closing_until <= now())`.execute();

const readTasks = (sql: Transaction, tasks: ReadonlySet<string>) =>
  sql<TaskFacts[]>`
    SELECT t.id, t.ancestors, t.root_id, t.depth, t.workload_name, t.deadline_at,
      t.state = 'active' AND t.deadline_at > now()
        AND NOT EXISTS (
          SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = ANY (t.ancestors || t.id))
        AND NOT EXISTS (
          SELECT FROM mayfly.tasks AS a WHERE a.id = ANY (t.ancestors) AND a.state <> 'active')
        AS open
    FROM mayfly.tasks AS t
    WHERE t.id = ANY (${uuids(tasks)}::text::uuid[])`.execute();

/** What the soft limits compare with, by `task:`, `workload:` and `role:`. */
async function countLive(
  sql: Transaction,
  batch: readonly Reservation[],
  counts: LiveCounts,
): Promise<ReadonlyMap<string, number>> {
  const { wanted, known } = wantedCounts(batch, counts);
  const rows = wanted.length > 0 ? await readLive(sql, wanted) : [];
  for (const { counted, live } of rows) {
    if (counted.startsWith(ROLE)) counts.note(counted, live);
  }
  return new Map([...known, ...rows.map((row) => [row.counted, row.live] as const)]);
}

const ROLE = roleCount("");

interface WantedCount {
  readonly kind: "task" | "holder" | "workload" | "role";
  readonly name: string;
  readonly id: string | null;
  /** No further than to this. */
  readonly most: number;
}

function wantedCounts(batch: readonly Reservation[], counts: LiveCounts) {
  const wanted = new Map<string, WantedCount>();
  const known = new Map<string, number>();
  const want = (kind: WantedCount["kind"], name: string, id: string | null, limit: number) => {
    const key = `${kind}:${name}`;
    const live = kind === "role" ? counts.read(key, limit) : null;
    if (live !== null) known.set(key, live);
    else wanted.set(key, { kind, name, id, most: Math.max(limit, wanted.get(key)?.most ?? 0) });
  };
  for (const { task, limits, leases } of batch) {
    if (leases.length === 0) continue;
    if (task.kind === "existing") {
      const id = uuidOfId(task.taskId);
      want("task", id, id, limits.perTask);
      want("holder", id, id, limits.perWorkload);
    } else {
      want("workload", workloadName(task.task.identity.workload), null, limits.perWorkload);
    }
    for (const { role } of leases) want("role", role, null, limits.perRole);
  }
  return { wanted: [...wanted.values()], known };
}

/**
 * Soft limits: counted without a lock, so that exchanges never queue for a counter, and no further
 * than the limit. The workload of an existing task is read from its row (`holder`).
 */
const readLive = (sql: Statement, wanted: readonly WantedCount[]) =>
  sql<{ counted: string; live: number }[]>`
    WITH wanted AS (
      SELECT CASE w.kind WHEN 'holder' THEN 'workload' ELSE w.kind END AS kind,
        CASE w.kind WHEN 'holder' THEN t.workload_name ELSE w.name END AS name,
        w.id, max(w.most) AS most
      FROM jsonb_to_recordset(${rows(wanted)}::text::jsonb)
        AS w (kind text, name text, id uuid, most integer)
      LEFT JOIN mayfly.tasks AS t ON w.kind = 'holder' AND t.id = w.id
      GROUP BY 1, 2, 3
    )
    SELECT w.kind || ':' || w.name AS counted,
      max(CASE w.kind
        WHEN 'task' THEN (SELECT count(*) FROM (
          SELECT FROM mayfly.leases AS l WHERE l.task_id = w.id AND l.state <> 'ended'
          LIMIT w.most) AS counted)
        WHEN 'workload' THEN (SELECT count(*) FROM (
          SELECT FROM mayfly.leases AS l WHERE l.workload = w.name AND l.state <> 'ended'
          LIMIT w.most) AS counted)
        ELSE (SELECT count(*) FROM (
          SELECT FROM mayfly.leases AS l WHERE l.role = w.name AND l.state <> 'ended'
          LIMIT w.most) AS counted)
      END)::integer AS live
    FROM wanted AS w WHERE w.name IS NOT NULL GROUP BY 1`.execute();

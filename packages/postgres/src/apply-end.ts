import {
  BrokerError,
  idFromUuid,
  parseBackendId,
  uuidOfId,
  type Actor,
  type AppliedEnd,
  type EndedTaskState,
  type LeaseState,
  type TaskId,
  type TaskState,
} from "@mayfly/spec";
import { SWEEP } from "./append-events.ts";
import { promptEnd } from "./prompt-end.ts";
import { rows, uuids, type Sql, type Transaction } from "./sql.ts";

interface LockedTask {
  readonly id: string;
  readonly parent_id: string | null;
  readonly ancestors: readonly string[];
  readonly state: TaskState;
}
interface RequestRow {
  readonly task_id: string;
  readonly state: EndedTaskState;
  readonly actor: Actor;
  readonly reason: string;
}
/** How an ending task ends. */
interface Ending {
  readonly id: string;
  readonly state: EndedTaskState;
  readonly actor: Actor;
  readonly reason: string;
}

/** A tree can only grow while we wait for our locks, and by one level at each turn. */
const LOCK_TURNS_MAX = 32;

/** The second of the two commits of an end: see `TaskLedger.applyEnd`. */
export function applyEnd(sql: Sql, id: TaskId, secondsMax?: number): Promise<AppliedEnd> {
  return sql.begin(async (tx) => {
    const tree = await lockTree(tx, uuidOfId(id));
    if (tree.length === 0) {
      throw new BrokerError("not_found", "There is no such task.", { where: "task" });
    }
    const requests = await readRequests(tx, tree);
    const root = tree.find((task) => task.id === uuidOfId(id));
    if (root?.state === "active" && !requests.has(root.id)) {
      const message = "No end of this task was requested.";
      throw new BrokerError("conflict", message, { where: "task" });
    }
    const endings = endingsOf(tree, requests);
    if (endings.length > 0) await writeEndings(tx, endings);
    await endLeasesOf(tx, tree);
    await markApplied(tx, tree);
    const leases = await liveLeases(tx, tree);
    await promptEnd(tx, secondsMax);
    return { ended: endings.map((ending) => idFromUuid("task", ending.id)), leases };
  });
}

/**
 * The task and all below it, locked by depth and id. A child that was being opened while we waited
 * for its parent's lock is not in the statement's snapshot, so it is looked for again until
 * nothing new turns up; once a parent is locked, no more children can come.
 */
async function lockTree(sql: Transaction, id: string): Promise<readonly LockedTask[]> {
  let tree: readonly LockedTask[] = [];
  for (let turn = 0; turn < LOCK_TURNS_MAX; turn++) {
    const found = await sql<LockedTask[]>`
      SELECT t.id, t.parent_id, t.ancestors, t.state FROM mayfly.tasks AS t
      WHERE t.root_id = (SELECT s.root_id FROM mayfly.tasks AS s WHERE s.id = ${id}::uuid)
        AND (t.id = ${id}::uuid OR ${id}::uuid = ANY (t.ancestors))
      ORDER BY t.depth, t.id
      FOR UPDATE OF t`;
    const grown = found.length > tree.length;
    tree = found;
    if (!grown) return tree;
  }
  throw new BrokerError("busy", "The task's tree grows faster than it can be ended.", {
    retryAfterSeconds: 1,
  });
}

async function readRequests(
  sql: Transaction,
  tree: readonly LockedTask[],
): Promise<ReadonlyMap<string, RequestRow>> {
  const requests = await sql<RequestRow[]>`
    SELECT task_id, state, actor, reason FROM mayfly.task_end_requests
    WHERE task_id = ANY (${uuids(tree.map((task) => task.id))}::text::uuid[])`;
  return new Map(requests.map((row) => [row.task_id, row]));
}

/** A child without a request of its own follows its parent, which comes before it in the tree. */
function endingsOf(
  tree: readonly LockedTask[],
  requests: ReadonlyMap<string, RequestRow>,
): readonly Ending[] {
  const endings = new Map<string, Ending>();
  for (const task of tree) {
    const own = requests.get(task.id);
    const parent = task.parent_id === null ? undefined : endings.get(task.parent_id);
    if (task.state !== "active") {
      endings.set(task.id, { id: task.id, state: task.state, actor: SWEEP, reason: task.state });
    } else if (own !== undefined) {
      endings.set(task.id, { id: task.id, state: own.state, actor: own.actor, reason: own.reason });
    } else if (parent !== undefined) {
      endings.set(task.id, followParent(task.id, parent));
    }
  }
  const active = new Set(tree.filter((task) => task.state === "active").map((task) => task.id));
  return [...endings.values()].filter((ending) => active.has(ending.id));
}

export const followed = (parent: EndedTaskState): EndedTaskState =>
  parent === "killed" || parent === "expired" ? parent : "cancelled";

function followParent(id: string, parent: Ending): Ending {
  const prefix = "the parent task ended: ";
  const reason = parent.reason.startsWith(prefix) ? parent.reason : `${prefix}${parent.reason}`;
  return { id, state: followed(parent.state), actor: parent.actor, reason };
}

async function writeEndings(sql: Transaction, endings: readonly Ending[]): Promise<void> {
  await sql`
    WITH ending AS MATERIALIZED (
      SELECT * FROM jsonb_to_recordset(${rows(endings)}::text::jsonb) AS e (
        id uuid, state text, actor jsonb, reason text)
    ), ended AS (
      UPDATE mayfly.tasks AS t
      SET state = e.state, ended_at = now(), end_reason = e.reason
      FROM ending AS e WHERE t.id = e.id AND t.state = 'active'
      RETURNING t.id, e.state, e.actor, e.reason
    )
    INSERT INTO mayfly.events (kind, actor, task_id, data)
    SELECT 'task.ended', actor, id, jsonb_build_object('state', state, 'reason', reason)
    FROM ended ORDER BY id`;
}

/** Active leases are due now; reserved ones are to be withheld, or recovered at `settleBy`. */
async function endLeasesOf(sql: Transaction, tree: readonly LockedTask[]): Promise<void> {
  await sql`
    WITH found AS MATERIALIZED (
      SELECT l.id FROM mayfly.leases AS l
      WHERE l.task_id = ANY (${uuids(tree.map((task) => task.id))}::text::uuid[])
        AND l.state IN ('reserved', 'active')
      ORDER BY l.id FOR NO KEY UPDATE OF l
    ), ended AS (
      UPDATE mayfly.leases AS l
      SET end_requested_at = coalesce(l.end_requested_at, now()),
        end_reason = coalesce(l.end_reason, 'the task ended: ' || t.end_reason),
        state = CASE l.state WHEN 'active' THEN 'ending' ELSE l.state END,
        due_at = CASE l.state WHEN 'active' THEN now() ELSE l.due_at END,
        version = l.version + CASE l.state WHEN 'active' THEN 1 ELSE 0 END
      FROM found, mayfly.tasks AS t
      WHERE l.id = found.id AND t.id = l.task_id AND l.state IN ('reserved', 'active')
      RETURNING l.id, l.task_id, l.state, l.end_reason
    )
    INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
    SELECT 'lease.ending', coalesce(r.actor, '{"kind": "system", "name": "sweep"}'), e.task_id,
      e.id, jsonb_build_object('reason', e.end_reason)
    FROM ended AS e LEFT JOIN mayfly.task_end_requests AS r ON r.task_id = e.task_id
    WHERE e.state = 'ending' ORDER BY e.id`;
}

const markApplied = (sql: Transaction, tree: readonly LockedTask[]) =>
  sql`
    UPDATE mayfly.task_end_requests SET applied_at = now()
    WHERE task_id = ANY (${uuids(tree.map((task) => task.id))}::text::uuid[])
      AND applied_at IS NULL`.execute();

async function liveLeases(
  sql: Transaction,
  tree: readonly LockedTask[],
): Promise<AppliedEnd["leases"]> {
  const live = await sql<{ id: string; backend_id: string; state: LeaseState }[]>`
    SELECT id, backend_id, state FROM mayfly.leases
    WHERE task_id = ANY (${uuids(tree.map((task) => task.id))}::text::uuid[])
      AND state <> 'ended' ORDER BY id`;
  return live.map((row) => ({
    id: idFromUuid("lease", row.id),
    backendId: parseBackendId(row.backend_id, "lease.backend_id"),
    state: row.state,
  }));
}

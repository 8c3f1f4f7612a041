import { and, eq, inArray, sql } from "drizzle-orm";
import { uuidOfId, type TaskChain, type TaskId } from "@mayfly/spec";
import { leaseOfRow } from "./lease-row.ts";
import {
  decisionOfRow,
  loggedEventOfRow,
  selectDecisions,
  selectEvents,
  selectLeases,
  selectTasks,
  type Database,
} from "./queries.ts";
import { decisions, events, leases, tasks } from "./schema.ts";
import { taskOfRow } from "./task-row.ts";

/** How much of each kind one chain shows. */
export const CHAIN_MAX = { tasks: 500, decisions: 1000, leases: 1000, events: 5000 } as const;

export async function queryTaskChain(db: Database, id: TaskId): Promise<TaskChain | null> {
  const uuid = uuidOfId(id);
  const [own] = await selectTasks(db, eq(tasks.id, uuid), 1);
  if (own === undefined) return null;
  const below = await selectTasks(
    db,
    and(eq(tasks.root_id, own.root_id), sql`${uuid}::uuid = ANY (${tasks.ancestors})`),
    CHAIN_MAX.tasks + 1,
  );
  const descendants = below.slice(0, CHAIN_MAX.tasks);
  const ids = [uuid, ...descendants.map((row) => row.id)];
  const [decided, leased, told] = await Promise.all([
    selectDecisions(db, inArray(decisions.task_id, ids), CHAIN_MAX.decisions + 1),
    selectLeases(db, inArray(leases.task_id, ids), CHAIN_MAX.leases + 1),
    selectEvents(db, inArray(events.task_id, ids), CHAIN_MAX.events + 1),
  ]);
  return {
    task: taskOfRow(own),
    descendants: descendants.map(taskOfRow),
    decisions: decided.slice(0, CHAIN_MAX.decisions).map(decisionOfRow),
    leases: leased.slice(0, CHAIN_MAX.leases).map(leaseOfRow),
    events: told.slice(0, CHAIN_MAX.events).flatMap((row) => loggedEventOfRow(row) ?? []),
    truncated:
      below.length > CHAIN_MAX.tasks ||
      decided.length > CHAIN_MAX.decisions ||
      leased.length > CHAIN_MAX.leases ||
      told.length > CHAIN_MAX.events,
  };
}

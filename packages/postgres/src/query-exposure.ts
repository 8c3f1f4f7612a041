import {
  EXPOSED_TASKS_MAX,
  parseRoleName,
  type ExposureSummary,
  type InstantMs,
  type WorkloadExposure,
} from "@mayfly/spec";
import type { Statement } from "./sql.ts";

interface ExposureRow {
  readonly own: boolean;
  readonly leases: number;
  readonly unknown: number;
  readonly until: InstantMs | null;
}
interface TasksRow {
  readonly as_of: InstantMs;
  readonly tasks: number;
  readonly until: InstantMs | null;
  readonly roles: readonly string[] | null;
}

/** What whoever has taken over this workload could do now. */
export async function queryExposure(sql: Statement, workload: string): Promise<WorkloadExposure> {
  const [[tasks], leases] = await Promise.all([
    activeTasks(sql, workload),
    exposedLeases(sql, workload),
  ]);
  if (tasks === undefined) throw new Error("a count gave no row");
  const summary = (own: boolean): ExposureSummary => {
    const row = leases.find((each) => each.own === own);
    return { leases: row?.leases ?? 0, unknown: row?.unknown ?? 0, until: row?.until ?? null };
  };
  return {
    workload,
    asOf: tasks.as_of,
    leases: summary(true),
    below: summary(false),
    tasksActive: tasks.tasks,
    tasksUntil: tasks.until,
    mayDraw: (tasks.roles ?? []).map((role) => parseRoleName(role, "task.credentials.role")),
  };
}

const activeTasks = (sql: Statement, workload: string) =>
  sql<TasksRow[]>`
    WITH active AS MATERIALIZED (
      SELECT t.deadline_at, t.descriptor FROM mayfly.tasks AS t
      WHERE t.workload_name = ${workload} AND t.state = 'active'
      LIMIT ${EXPOSED_TASKS_MAX}
    )
    SELECT now() AS as_of, count(*)::integer AS tasks, max(a.deadline_at) AS until,
      (SELECT array_agg(DISTINCT c ->> 'role')
        FROM active, jsonb_array_elements(descriptor -> 'credentials') AS c) AS roles
    FROM active AS a`.execute();

/** Its own, and those of others below its active tasks. */
const exposedLeases = (sql: Statement, workload: string) =>
  sql<ExposureRow[]>`
    WITH mine AS MATERIALIZED (
      SELECT t.id, t.root_id FROM mayfly.tasks AS t
      WHERE t.workload_name = ${workload} AND t.state = 'active'
      LIMIT ${EXPOSED_TASKS_MAX}
    ), below AS MATERIALIZED (
      SELECT t.id FROM mayfly.tasks AS t
      WHERE t.root_id IN (SELECT root_id FROM mine) AND t.depth > 0
        AND t.ancestors && ARRAY(SELECT id FROM mine)
    ), found AS (
      SELECT l.lease_id, l.workload = ${workload} AS own, l.exposure, l.exposed_until
      FROM mayfly_audit.exposed_leases AS l WHERE l.workload = ${workload}
      UNION
      SELECT l.lease_id, false, l.exposure, l.exposed_until
      FROM mayfly_audit.exposed_leases AS l
      WHERE l.task_id IN (SELECT id FROM below) AND l.workload IS DISTINCT FROM ${workload}
    )
    SELECT own, count(*)::integer AS leases,
      count(*) FILTER (WHERE exposure = 'unknown')::integer AS unknown,
      max(exposed_until) AS until
    FROM found GROUP BY own`.execute();

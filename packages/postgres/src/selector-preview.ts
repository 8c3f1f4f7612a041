import {
  idFromUuid,
  parseBackendId,
  parseRoleName,
  type EndPreview,
  type EndSelector,
  type EndTarget,
} from "@mayfly/spec";
import { leasesSelected, mustSelect, stillToEnd, tasksToKill } from "./selector-conditions.ts";
import type { Fragment, Statement } from "./sql.ts";

export const PREVIEW_MAX = 1000;

interface PreviewRow {
  readonly tasks: number;
  readonly leases: number;
  readonly endingAlready: number;
  readonly groups: readonly {
    readonly workload: string | null;
    readonly role: string | null;
    readonly backend_id: string;
    readonly leases: number;
  }[];
  readonly task_ids: readonly string[] | null;
  readonly lease_ids: readonly string[] | null;
  readonly digest: string;
}

/** What an end of this selection would do now, in one statement: one snapshot. */
export async function previewEnd(
  sql: Statement,
  target: EndTarget,
  selector: EndSelector,
  limit: number,
): Promise<EndPreview> {
  mustSelect(selector);
  const most = Math.min(limit, PREVIEW_MAX);
  const [row] = await sql<PreviewRow[]>`
    WITH killed AS MATERIALIZED (${killedBy(sql, target, selector)}),
    live AS MATERIALIZED (
      SELECT l.id, l.workload, l.role, l.backend_id, ${stillToEnd(sql)} AS ends
      FROM mayfly.leases AS l
      WHERE l.state <> 'ended' AND ${leasesOf(sql, target, selector)}
    ), ended AS (SELECT id, workload, role, backend_id FROM live WHERE ends),
    grouped AS (
      SELECT workload, role, backend_id, count(*)::integer AS leases FROM ended
      GROUP BY workload, role, backend_id
      ORDER BY count(*) DESC, workload, role, backend_id LIMIT ${most}::integer
    )
    SELECT (SELECT count(*)::integer FROM killed) AS tasks,
      (SELECT count(*)::integer FROM ended) AS leases,
      (SELECT count(*)::integer FROM live WHERE NOT ends) AS "endingAlready",
      (SELECT coalesce(jsonb_agg(to_jsonb(g) ORDER BY g.leases DESC, g.workload, g.role), '[]')
        FROM grouped AS g) AS groups,
      ARRAY(SELECT id::text FROM killed ORDER BY id DESC LIMIT ${most}::integer) AS task_ids,
      ARRAY(SELECT id::text FROM ended ORDER BY id DESC LIMIT ${most}::integer) AS lease_ids,
      (SELECT ${setDigest(sql)} FROM ${target === "tasks" ? sql`killed` : sql`ended`}) AS digest`;
  if (row === undefined) throw new Error("a count gave no row");
  return {
    tasks: row.tasks,
    leases: row.leases,
    endingAlready: row.endingAlready,
    groups: row.groups.map((group) => ({
      workload: group.workload,
      role: group.role === null ? null : parseRoleName(group.role, "lease.role"),
      backendId: parseBackendId(group.backend_id, "lease.backend_id"),
      leases: group.leases,
    })),
    taskIds: (row.task_ids ?? []).map((id) => idFromUuid("task", id)),
    leaseIds: (row.lease_ids ?? []).map((id) => idFromUuid("lease", id)),
    digest: row.digest,
  };
}

/** Over a column `id`: the same set, the same digest. */
export const setDigest = (sql: Statement): Fragment =>
  sql`encode(sha256(convert_to(
    coalesce(string_agg(id::text, ',' ORDER BY id), ''), 'UTF8')), 'hex')`;

const killedBy = (sql: Statement, target: EndTarget, selector: EndSelector): Fragment =>
  target === "tasks" ? tasksToKill(sql, selector) : sql`SELECT NULL::uuid AS id WHERE false`;

const leasesOf = (sql: Statement, target: EndTarget, selector: EndSelector): Fragment =>
  target === "tasks"
    ? sql`l.task_id IN (SELECT k.id FROM killed AS k)`
    : leasesSelected(sql, selector);

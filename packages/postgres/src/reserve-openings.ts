import { workloadName, type Reservation } from "@mayfly/spec";
import type { Accepted } from "./judge-reservation.ts";
import { roleCount, workloadCount, type LiveCounts } from "./live-counts.ts";
import { insertRows } from "./reserve-writes.ts";
import { json, rows, texts, type Sql } from "./sql.ts";
import type { TaskRow } from "./task-row.ts";

/** Fewer are counted as fast as they are remembered. */
const MANY = 32;

interface Wanted {
  adding: number;
  /** The least that one of those who add has as its limit. */
  most: number;
}

/** Reservations that may be written if all of this is as they were judged by. */
export interface Openings {
  readonly accepted: readonly Accepted[];
  readonly catalogVersion: number;
  /** Each open, and at that revision. */
  readonly backends: ReadonlyMap<string, number>;
  /** Live leases that the batch adds to each workload that has to be counted. */
  readonly workloads: ReadonlyMap<string, Wanted>;
  /** Told what was counted. */
  readonly counts: LiveCounts;
}

/**
 * What a batch takes for granted in which each opens a task of its own, below nobody's, and claims
 * neither key nor token: nothing but a backend's row is locked then, and nothing has to be read
 * before what is written. Null for any other, and where a limit may be near.
 */
export function openingsOf(batch: readonly Reservation[], counts: LiveCounts): Openings | null {
  const catalogVersion = batch[0]?.catalogVersion ?? 0;
  const backends = new Map<string, number>();
  const workloads = new Map<string, Wanted>();
  const roles = new Map<string, Wanted>();
  const accepted: Accepted[] = [];
  for (const reservation of batch) {
    const { task, leases, limits } = reservation;
    if (task.kind !== "open" || !standsAlone(reservation)) return null;
    if (reservation.catalogVersion !== catalogVersion) return null;
    if (leases.length > limits.perTask) return null;
    const workload = workloadName(task.task.identity.workload);
    for (const { role, backendId, backendRevision } of leases) {
      if ((backends.get(backendId) ?? backendRevision) !== backendRevision) return null;
      backends.set(backendId, backendRevision);
      add(workloads, workload, limits.perWorkload);
      add(roles, role, limits.perRole);
    }
    accepted.push({
      kind: "accepted",
      reservation,
      standing: null,
      workload,
      generation: 0,
      keyExists: false,
      tokenExists: false,
    });
  }
  for (const [role, { adding, most }] of roles) {
    const live = counts.read(roleCount(role), most);
    if (live === null || live + adding > most) return null;
  }
  for (const [workload, { adding, most }] of workloads) {
    const live = counts.read(workloadCount(workload), most);
    if (live !== null && live + adding <= most) workloads.delete(workload);
  }
  return { accepted, catalogVersion, backends, workloads, counts };
}

const standsAlone = ({ task, idempotency, oneTime }: Reservation): boolean =>
  task.kind === "open" && task.task.parentId === null && idempotency === null && oneTime === null;

function add(wanted: Map<string, Wanted>, name: string, limit: number): void {
  const known = wanted.get(name);
  if (known === undefined) wanted.set(name, { adding: 1, most: limit });
  else wanted.set(name, { adding: known.adding + 1, most: Math.min(known.most, limit) });
}

/**
 * Writes all of them in one statement, which is its own transaction: one round trip, where to read
 * and then to write costs two, and six answers that each wake somebody. Null: something is not as
 * it was taken to be, and nothing was written.
 *
 * A backend's row is locked against its deletion as ever, without waiting; of one that has changed
 * since the statement began, the server looks at the newest version before it locks it.
 */
export async function commitOpenings(
  sql: Sql,
  { accepted, catalogVersion, backends, workloads, counts }: Openings,
  outageOf: Parameters<typeof insertRows>[2],
): Promise<readonly TaskRow[] | null> {
  const expected = [...backends].map(([id, revision]) => ({ id, revision }));
  const wanted = [...workloads].map(([name, { adding, most }]) => ({ name, adding, most }));
  const conditions = sql`
    held AS MATERIALIZED (
      SELECT b.id, b.revision FROM mayfly.backends AS b
      WHERE b.id IN (SELECT jsonb_array_elements_text(${texts(backends.keys())}::text::jsonb))
        AND b.enabled AND b.deleted_at IS NULL
        AND (b.closing_until IS NULL OR b.closing_until <= now())
      ORDER BY b.id
      FOR KEY SHARE OF b SKIP LOCKED
    ), counted AS MATERIALIZED (
      SELECT w.name, w.adding, w.most, (SELECT count(*) FROM (
        SELECT FROM mayfly.leases AS l WHERE l.workload = w.name AND l.state <> 'ended'
        LIMIT w.most) AS living)::integer AS live
      FROM jsonb_to_recordset(${rows(wanted)}::text::jsonb)
        AS w (name text, adding integer, most integer)
    ), verdict AS MATERIALIZED (
      SELECT v.version = ${json(catalogVersion)}::text::bigint
        AND NOT EXISTS (
          SELECT FROM jsonb_to_recordset(${rows(expected)}::text::jsonb)
            AS w (id text, revision integer)
          WHERE NOT EXISTS (
            SELECT FROM held AS h WHERE h.id = w.id AND h.revision = w.revision))
        AND NOT EXISTS (SELECT FROM counted AS c WHERE c.adding + c.live > c.most)
        AS may
      FROM mayfly.catalog_version AS v
    )`;
  const written = await insertRows(sql, accepted, outageOf, {
    with: sql`${conditions},`,
    onlyIf: sql`WHERE (SELECT v.may FROM verdict AS v)`,
    // Once, in the first row. What was counted to its limit may be more.
    also: sql`, CASE row_number() OVER () WHEN 1 THEN (
      SELECT jsonb_agg(jsonb_build_array(c.name, c.live)) FROM counted AS c
      WHERE c.live >= ${json(MANY)}::text::integer AND c.live < c.most) END AS busy`,
  });
  for (const [workload, live] of written[0]?.busy ?? []) {
    counts.note(workloadCount(workload), live);
  }
  return written.length === 0 ? null : written;
}

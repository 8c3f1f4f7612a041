import { and, desc, eq, gte, lt } from "drizzle-orm";
import {
  idFromUuid,
  type Page,
  type PageRequest,
  type Touch,
  type TouchFilter,
} from "@mayfly/spec";
import { parsePage } from "./cursor.ts";
import { idWithin } from "./id-within.ts";
import { pageOf, type Database } from "./queries.ts";
import { holderOfRow, newestHolders } from "./query-holders.ts";
import { decisions } from "./schema.ts";

/**
 * Leases and denials of one workload, newest first. Both have UUIDv7s of their own, so that one
 * cursor serves both: the id of whichever was shown last.
 */
export async function queryTouched(
  db: Database,
  filter: TouchFilter,
  page: PageRequest,
): Promise<Page<Touch>> {
  const { after, read } = parsePage("touched", page);
  const [held, denied] = await Promise.all([
    newestHolders(db, filter, after, read),
    newestDenials(db, filter, after, read),
  ]);
  const all = [
    ...held.map((row) => ({
      id: row.id,
      touch: (): Touch => {
        const holder = holderOfRow(row);
        return { kind: "lease", at: holder.lease.reservedAt, holder };
      },
    })),
    ...denied.map((row) => ({ id: row.id, touch: (): Touch => denialOfRow(row) })),
  ].toSorted((a, b) => (a.id < b.id ? 1 : -1));
  return pageOf("touched", page, all, ({ touch }) => touch());
}

const newestDenials = (
  db: Database,
  { workload, from, until }: TouchFilter,
  after: string | null,
  limit: number,
) =>
  db
    .select()
    .from(decisions)
    .where(
      and(
        eq(decisions.workload, workload),
        eq(decisions.effect, "deny"),
        from === undefined ? undefined : gte(decisions.decided_at, from),
        until === undefined ? undefined : lt(decisions.decided_at, until),
        idWithin(decisions.id, from, until),
        after === null ? undefined : lt(decisions.id, after),
      ),
    )
    .orderBy(desc(decisions.id))
    .limit(limit)
    .execute();

const denialOfRow = (row: Awaited<ReturnType<typeof newestDenials>>[number]): Touch => ({
  kind: "denial",
  at: row.decided_at,
  decisionId: idFromUuid("decision", row.id),
  role: row.role,
  taskId: row.task_id === null ? null : idFromUuid("task", row.task_id),
  determining: row.verdict.determining,
  policyDigest: row.policy_digest,
});

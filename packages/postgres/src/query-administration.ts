import { and, desc, eq, gte, lt, sql } from "drizzle-orm";
import type { AdministrationFilter, LedgerEvent, Page, PageRequest } from "@mayfly/spec";
import { parsePage } from "./cursor.ts";
import { idWithin } from "./id-within.ts";
import { eventFields, loggedEventOfRow, pageOf, type Database } from "./queries.ts";
import { events, logEntries } from "./schema.ts";

/** Newest first: every event that is neither a task's, a lease's nor a decision's. */
export async function queryAdministration(
  db: Database,
  { actor, from, until }: AdministrationFilter,
  page: PageRequest,
): Promise<Page<LedgerEvent>> {
  const { after, read } = parsePage("administration", page);
  const found = await db
    .select(eventFields)
    .from(events)
    .leftJoin(logEntries, eq(logEntries.event_id, events.id))
    .where(
      and(
        // As the index `events_administration` has it.
        sql`split_part(${events.kind}, '.', 1) NOT IN ('task', 'lease', 'decision')`,
        actor === undefined ? undefined : sql`${events.actor} ->> 'name' = ${actor}`,
        from === undefined ? undefined : gte(events.at, from),
        until === undefined ? undefined : lt(events.at, until),
        idWithin(events.id, from, until),
        after === null ? undefined : lt(events.id, after),
      ),
    )
    .orderBy(desc(events.id))
    .limit(read);
  return pageOf("administration", page, found, loggedEventOfRow);
}

import { and, desc, eq, inArray, lt, sql } from "drizzle-orm";
import {
  idFromUuid,
  uuidOfId,
  type Holder,
  type LeaseFilter,
  type LeaseId,
  type Page,
  type PageRequest,
} from "@mayfly/spec";
import { parsePage } from "./cursor.ts";
import { leaseOfRow } from "./lease-row.ts";
import { leaseConditions, leaseFields, pageOf, type Database } from "./queries.ts";
import { decisions, leases, tasks } from "./schema.ts";

const holderFields = {
  id: leases.id,
  lease: leaseFields,
  task: {
    id: tasks.id,
    state: tasks.state,
    ref: tasks.ref,
    goal: sql<string>`${tasks.descriptor} ->> 'goal'`,
    trustRoot: sql<string>`${tasks.workload} ->> 'trustRoot'`,
    verified: tasks.verified_initiator,
    claimed: tasks.claimed_initiator,
  },
  policy: { digest: decisions.policy_digest, verdict: decisions.verdict },
};

const selectHolders = (db: Database) =>
  db
    .select(holderFields)
    .from(leases)
    .leftJoin(tasks, eq(tasks.id, leases.task_id))
    .leftJoin(decisions, eq(decisions.id, leases.decision_id));
type HolderRow = Awaited<ReturnType<typeof selectHolders>>[number];

export function holderOfRow({ lease, task, policy }: HolderRow): Holder {
  return {
    lease: leaseOfRow(lease),
    task:
      task === null
        ? null
        : {
            id: idFromUuid("task", task.id),
            state: task.state,
            goal: task.goal,
            ref: task.ref,
            trustRoot: task.trustRoot,
          },
    initiator: initiatorOf(task),
    policy:
      policy === null ? null : { digest: policy.digest, determining: policy.verdict.determining },
  };
}

function initiatorOf(task: HolderRow["task"]): Holder["initiator"] {
  if (task === null) return null;
  if (task.verified !== null) return { name: task.verified, basis: "verified" };
  return task.claimed === null ? null : { name: task.claimed, basis: "claimed" };
}

/** Newest first. */
export async function queryHolders(
  db: Database,
  filter: LeaseFilter,
  page: PageRequest,
): Promise<Page<Holder>> {
  const { after, read } = parsePage("holders", page);
  const found = await newestHolders(db, filter, after, read);
  return pageOf("holders", page, found, holderOfRow);
}

export const newestHolders = (
  db: Database,
  filter: LeaseFilter,
  after: string | null,
  limit: number,
): Promise<readonly HolderRow[]> =>
  selectHolders(db)
    .where(and(leaseConditions(filter), after === null ? undefined : lt(leases.id, after)))
    .orderBy(desc(leases.id))
    .limit(limit)
    .execute();

const TRACED_MAX = 100;

/** Whose credential has one of these fingerprints. */
export async function holdersByFingerprint(
  db: Database,
  fingerprints: readonly string[],
  limit: number,
): Promise<readonly Holder[]> {
  if (fingerprints.length === 0) return [];
  // In two steps: asked for in order at once, they would be looked for along all ids.
  const found = await db
    .select({ id: leases.id })
    .from(leases)
    .where(inArray(leases.fingerprint, [...fingerprints]))
    .limit(Math.min(limit, TRACED_MAX));
  return holdersByUuid(
    db,
    found.map(({ id }) => id),
  );
}

export const holdersByLeaseId = (db: Database, ids: readonly LeaseId[]) =>
  holdersByUuid(db, ids.map(uuidOfId));

async function holdersByUuid(db: Database, ids: readonly string[]): Promise<readonly Holder[]> {
  if (ids.length === 0) return [];
  const found = await selectHolders(db)
    .where(inArray(leases.id, ids.slice(0, TRACED_MAX)))
    .orderBy(desc(leases.id));
  return found.map(holderOfRow);
}

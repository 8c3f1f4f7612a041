import { desc, inArray, sql } from "drizzle-orm";
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
import { leaseOfRow, type LeaseRow } from "./lease-row.ts";
import { leaseFields, newestLeases } from "./newest-leases.ts";
import { pageOf, type Database } from "./queries.ts";
import { decisions, leases, tasks } from "./schema.ts";

/** What a lease's holder is made of; null what is lost, or has left the ledger. */
export interface HolderRow {
  readonly id: string;
  readonly lease: LeaseRow;
  readonly task: Awaited<ReturnType<typeof selectHeldFor>>[number] | null;
  readonly policy: Awaited<ReturnType<typeof selectPermits>>[number] | null;
}

const selectHeldFor = (db: Database, ids: readonly string[]) =>
  db
    .select({
      id: tasks.id,
      state: tasks.state,
      ref: tasks.ref,
      goal: sql<string>`${tasks.descriptor} ->> 'goal'`,
      trustRoot: sql<string>`${tasks.workload} ->> 'trustRoot'`,
      verified: tasks.verified_initiator,
      claimed: tasks.claimed_initiator,
    })
    .from(tasks)
    .where(inArray(tasks.id, [...ids]))
    .execute();

const selectPermits = (db: Database, ids: readonly string[]) =>
  db
    .select({ id: decisions.id, digest: decisions.policy_digest, verdict: decisions.verdict })
    .from(decisions)
    .where(inArray(decisions.id, [...ids]))
    .execute();

/** By their ids: a join of them all might begin with all that there is. */
async function heldBy(db: Database, found: readonly LeaseRow[]): Promise<readonly HolderRow[]> {
  const taskIds = [...new Set(found.flatMap((row) => row.task_id ?? []))];
  const decisionIds = found.flatMap((row) => row.decision_id ?? []);
  const [heldFor, permits] = await Promise.all([
    taskIds.length === 0 ? [] : selectHeldFor(db, taskIds),
    decisionIds.length === 0 ? [] : selectPermits(db, decisionIds),
  ]);
  const taskOf = new Map(heldFor.map((row) => [row.id, row]));
  const policyOf = new Map(permits.map((row) => [row.id, row]));
  return found.map((lease) => ({
    id: lease.id,
    lease,
    task: taskOf.get(lease.task_id ?? "") ?? null,
    policy: policyOf.get(lease.decision_id ?? "") ?? null,
  }));
}

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

export const newestHolders = async (
  db: Database,
  filter: LeaseFilter,
  after: string | null,
  limit: number,
): Promise<readonly HolderRow[]> => heldBy(db, await newestLeases(db, filter, after, limit));

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
  const found = await db
    .select(leaseFields)
    .from(leases)
    .where(inArray(leases.id, ids.slice(0, TRACED_MAX)))
    .orderBy(desc(leases.id));
  return (await heldBy(db, found)).map(holderOfRow);
}

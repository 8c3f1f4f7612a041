import postgres from "postgres";
import {
  ConnectionLost,
  leaseRoleOf,
  READER,
  until,
  type Credential,
  type Exchange,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

/** Long enough for `settle_by`, the quarantine, a claim that runs out, and a slow machine. */
export const SETTLE_MS_MAX = 150_000;
export const AGENT = "worker-bee";

/** What opens a task; `ref` is how a test finds it again in the ledger, reply or no reply. */
export function taskDetails(ref: string, more: Record<string, unknown> = {}) {
  return {
    type: "mayfly-task",
    goal: `be there when it crashes: ${ref}`,
    ref,
    deadline: "10m",
    credentials: [{ role: READER, ttl: "10m" }],
    ...more,
  };
}

export const opening = (
  mayfly: Installation,
  ref: string,
  more: Record<string, unknown> = {},
): Exchange => ({ subject: mayfly.svid(AGENT), details: taskDetails(ref, more) });

/** The call's broker is killed at its fail point: no reply, and an end by SIGKILL. */
export async function dies(broker: RunningBroker, call: Promise<Reply>): Promise<void> {
  const outcome = await call.catch((error: unknown) => error);
  if (!(outcome instanceof ConnectionLost)) {
    throw new Error(`the broker was to die, and answered ${JSON.stringify(outcome)}`);
  }
  await diedBySigkill(broker);
}

export async function diedBySigkill(process: RunningBroker | Started): Promise<void> {
  await until(`the end of the ${process.service}`, SETTLE_MS_MAX, async () => process.hasEnded());
  const { signal } = await process.exited;
  if (signal !== "SIGKILL") throw new Error(`it ended otherwise:\n${process.output()}`);
}
type Started = Awaited<ReturnType<Installation["startWorker"]>>;

export interface LeaseSeen {
  readonly id: string;
  readonly state: string;
  readonly outcome: string | null;
  readonly role: string;
  readonly expiresAt: Date;
  readonly settleBy: Date;
  readonly isPastSettleBy: boolean;
  readonly isClaimed: boolean;
  readonly generation: number;
}

/** The leases of a task, oldest first, as the ledger's superuser sees them. */
export async function leasesOf(mayfly: Installation, ref: string): Promise<readonly LeaseSeen[]> {
  const rows = await mayfly.ledger<Omit<LeaseSeen, "role">[]>`
    SELECT 'lease_' || replace(l.id::text, '-', '') AS id, l.state, l.outcome,
      l.expires_at AS "expiresAt", l.settle_by AS "settleBy", l.generation,
      now() > l.settle_by AS "isPastSettleBy",
      coalesce(l.claimed_until > now(), false) AS "isClaimed"
    FROM mayfly.leases l JOIN mayfly.tasks t ON t.id = l.task_id
    WHERE t.ref = ${ref} ORDER BY l.id`;
  return rows.map((row) => ({ ...row, role: leaseRoleOf(mayfly.id, row.id) }));
}

export async function theLease(mayfly: Installation, ref: string): Promise<LeaseSeen> {
  const [lease, ...more] = await leasesOf(mayfly, ref);
  if (lease === undefined || more.length > 0) {
    throw new Error(`${ref} has ${more.length + (lease === undefined ? 0 : 1)} leases, not one`);
  }
  return lease;
}

/** Waits until every lease of the task has ended. */
export function settled(mayfly: Installation, ref: string): Promise<readonly LeaseSeen[]> {
  return until(`all leases of ${ref} to end`, SETTLE_MS_MAX, async () => {
    const leases = await leasesOf(mayfly, ref);
    return leases.length > 0 && leases.every(({ state }) => state === "ended") && leases;
  });
}

export async function theSettled(mayfly: Installation, ref: string): Promise<LeaseSeen> {
  await settled(mayfly, ref);
  return theLease(mayfly, ref);
}

export interface TaskSeen {
  readonly id: string;
  readonly state: string;
  readonly endRequested: boolean;
  readonly endApplied: boolean;
}

export async function tasksOf(mayfly: Installation, ref: string): Promise<readonly TaskSeen[]> {
  return mayfly.ledger<TaskSeen[]>`
    SELECT 'task_' || replace(t.id::text, '-', '') AS id, t.state,
      r.task_id IS NOT NULL AS "endRequested", r.applied_at IS NOT NULL AS "endApplied"
    FROM mayfly.tasks t LEFT JOIN mayfly.task_end_requests r ON r.task_id = t.id
    WHERE t.ref = ${ref} ORDER BY t.id`;
}

/** Whether the customer's server has the role now, and lets it log in. */
export async function roleNow(
  mayfly: Installation,
  role: string,
): Promise<{ readonly canLogin: boolean; readonly validUntil: Date | null } | null> {
  const [row] = await mayfly.customer<{ canLogin: boolean; validUntil: Date | null }[]>`
    SELECT rolcanlogin AS "canLogin", rolvaliduntil AS "validUntil"
    FROM pg_authid WHERE rolname = ${role}`;
  return row ?? null;
}

/** Whether a role of this name could ever log in, as far as the watch saw. */
export const wasEverMinted = (mayfly: Installation, role: string): boolean =>
  [...(mayfly.watch.seen.get(role)?.values() ?? [])].some(({ canLogin }) => canLogin);

/** One session with the credential, without a pool. Not connected before its first query. */
export const sessionOf = (credential: Credential): postgres.Sql =>
  postgres({
    ...credential,
    max: 1,
    connect_timeout: 5,
    backoff: () => 0,
    onnotice: () => undefined,
  });

/** Whether the customer's server lets the credential in. */
export async function isLetIn(credential: Credential): Promise<boolean> {
  const session = sessionOf(credential);
  try {
    await session`SELECT count(*) FROM orders`;
    return true;
  } catch {
    return false;
  } finally {
    await session.end({ timeout: 1 });
  }
}

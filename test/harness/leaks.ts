import type postgres from "postgres";
import { at, type BrokerApi } from "./broker-api.ts";
import { leaseRoleOf, rolesNow, type CustomerWatch, type SeenRole } from "./customer-watch.ts";
import { pause, until } from "./until.ts";

export interface LeakSurroundings {
  readonly installation: string;
  /** The superuser's connections: the servers themselves are asked, and not Mayfly. */
  readonly customer: postgres.Sql;
  readonly ledger: postgres.Sql;
  readonly watch: CustomerWatch;
  readonly sweepSeconds: number;
  /** A broker that lives, for the verification of the log. */
  readonly api: BrokerApi;
}

/**
 * No live lease; alive for too long; made twice; a tenant of a pool that an end struck which was
 * meant for another; a log that does not account for its events.
 */
export type LeakKind = "orphan" | "live_expired" | "double_mint" | "struck_tenant" | "log";
export interface Leak {
  readonly kind: LeakKind;
  readonly words: string;
}

/** What a claim, a revocation and a loaded machine take beyond the one sweep. */
const MARGIN_SECONDS = 30;
const VERIFIED_MS_MAX = 60_000;
/** What a session that was told to end may take for it: 5 s. */
const ENDING_LOOKS = 50;
const ENDING_LOOK_MS = 100;
const BACK_MS_MAX = 60_000;

interface LeaseRow {
  readonly id: string;
  readonly state: string;
  /** Whether now is past the later of its end and its `settle_by`, plus a sweep and a margin. */
  readonly overdue: boolean;
  /** It failed before, and its next attempt is not overdue. */
  readonly retriedLater: boolean;
}

/** The invariants of the issue cycle, as the servers themselves show them; empty: all hold. */
export async function lookForLeaks(around: LeakSurroundings): Promise<readonly Leak[]> {
  await isBack(around);
  return [
    ...(await strayRoles(around)),
    ...(await strayingSessions(around)),
    ...mintedTwice(around),
    ...(await activatedTwice(around)),
    ...(await brokenLog(around)),
  ];
}

/** What a restarted server left of our connections says so once, and is no leak. */
async function isBack({ customer, ledger }: LeakSurroundings): Promise<void> {
  const all = [customer, ledger].flatMap((sql) => Array.from({ length: 3 }, () => sql));
  await until("both servers to answer", BACK_MS_MAX, async () => {
    const answers = await Promise.allSettled(all.map((sql) => sql`SELECT 1`));
    return answers.every(({ status }) => status === "fulfilled");
  });
}

/** What leaks, in words. */
export const findLeaks = async (around: LeakSurroundings): Promise<readonly string[]> =>
  (await lookForLeaks(around)).map(({ words }) => words);

/** Throws with every leak that was found. */
export async function assertNothingLeaks(around: LeakSurroundings): Promise<void> {
  const leaks = await findLeaks(around);
  if (leaks.length > 0) throw new Error(`it leaks:\n${leaks.join("\n")}`);
}

/** Invariant 1, of the roles that bear a lease's name. */
export const strayRoles = (around: LedgerAndCustomer): Promise<readonly Leak[]> =>
  straysAmong(around, () => rolesNow(around.customer, around.installation));

export type LedgerAndCustomer = Omit<LeakSurroundings, "api" | "watch">;

/** Invariant 1, of what a look at the customer's finds. What goes while we look is none. */
export async function straysAmong(
  around: LedgerAndCustomer,
  look: () => Promise<readonly SeenRole[]>,
): Promise<readonly Leak[]> {
  const roles = await look();
  const leases = await leaseRows(around);
  const wrong = roles.flatMap((role) => {
    const found = straying(role, leases.get(role.name));
    return found === null ? [] : [{ role, ...found }];
  });
  const still = new Set((await look()).map(identityOf));
  return wrong
    .filter(({ role }) => still.has(identityOf(role)))
    .map(({ role, kind, why }) => ({ kind, words: `the role ${role.name} (${role.oid}) ${why}` }));
}

/** A name may be made anew, and a role be used again. */
const identityOf = ({ oid, name }: SeenRole): string => `${oid} ${name}`;

function straying(
  role: SeenRole,
  row: LeaseRow | undefined,
): { readonly kind: LeakKind; readonly why: string } | null {
  if (row === undefined) return { kind: "orphan", why: "has no lease" };
  if (row.state === "ended") return { kind: "orphan", why: `outlives its lease ${row.id}` };
  // A lease that is stuck or to be tried again says itself that its credential may live.
  if (!role.canLogin || row.state === "stuck" || row.retriedLater || !row.overdue) return null;
  return { kind: "live_expired", why: `is overdue (${row.id} is ${row.state})` };
}

async function leaseRows(
  around: Pick<LeakSurroundings, "ledger" | "installation" | "sweepSeconds">,
): Promise<ReadonlyMap<string, LeaseRow>> {
  const grace = around.sweepSeconds + MARGIN_SECONDS;
  const rows = await around.ledger<LeaseRow[]>`
    SELECT 'lease_' || replace(id::text, '-', '') AS id, state,
      now() > greatest(least(coalesce(end_requested_at, expires_at), expires_at), settle_by)
        + make_interval(secs => ${grace}) AS overdue,
      attempts > 0 AND now() <= due_at + make_interval(secs => ${grace}) AS "retriedLater"
    FROM mayfly.leases`;
  return new Map(rows.map((row) => [leaseRoleOf(around.installation, row.id), row]));
}

/**
 * A session of a role that is gone has no name any more, but an id that no role has. One that was
 * told to end is still there for a moment, on a busy machine for a long one; whoever leaks stays.
 */
async function strayingSessions({ customer }: LeakSurroundings): Promise<readonly Leak[]> {
  const look = () => customer<{ pid: number; usesysid: number }[]>`
    SELECT a.pid, a.usesysid::int8::float8 AS usesysid FROM pg_stat_activity a
    WHERE a.usesysid IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_authid r WHERE r.oid = a.usesysid)`;
  let sessions: readonly Awaited<ReturnType<typeof look>>[number][] = await look();
  for (let looks = 0; sessions.length > 0 && looks < ENDING_LOOKS; looks++) {
    await pause(ENDING_LOOK_MS);
    const still = new Set((await look()).map(({ pid }) => pid));
    sessions = sessions.filter(({ pid }) => still.has(pid));
  }
  const prepared = await customer<{ gid: string; owner: string }[]>`
    SELECT gid, owner FROM pg_prepared_xacts
    WHERE NOT EXISTS (SELECT FROM pg_authid WHERE rolname = owner)`;
  return [
    ...sessions.map(({ pid, usesysid }) => `session ${pid} is of the dropped role ${usesysid}`),
    ...prepared.map(({ gid }) => `the prepared transaction ${gid} is of a dropped role`),
  ].map((words) => ({ kind: "live_expired", words }));
}

/** By what was seen at the customer's: two OIDs that could log in bore one lease's name. */
const mintedTwice = ({ watch }: LeakSurroundings): readonly Leak[] =>
  [...watch.seen].flatMap(([name, oids]) => {
    const minted = [...oids.values()].filter(({ canLogin }) => canLogin);
    if (minted.length < 2) return [];
    return [{ kind: "double_mint", words: `${name} was minted ${minted.length} times` }];
  });

/** By the ledger: one activation of a lease, whatever became of the process that did it. */
async function activatedTwice({ ledger }: LeakSurroundings): Promise<readonly Leak[]> {
  const rows = await ledger<{ lease: string; times: number }[]>`
    SELECT lease_id::text AS lease, count(*)::int AS times FROM mayfly.events
    WHERE kind IN ('lease.activated', 'lease.withheld')
    GROUP BY lease_id HAVING count(*) > 1`;
  return rows.map(({ lease, times }) => ({
    kind: "double_mint",
    words: `lease ${lease} was activated ${times} times`,
  }));
}

/** Waits for the sequencer first: what is not in the log yet cannot be verified. */
async function brokenLog({ api }: LeakSurroundings): Promise<readonly Leak[]> {
  const reply = await until("the log to be appended and verified", VERIFIED_MS_MAX, async () => {
    const answer = await api.admin("POST", "/v1/ledger/verify", {});
    if (answer.status !== 200) throw new Error(`verify was answered ${answer.text}`);
    return at(answer, "ok") === false || at(answer, "pending") === 0 ? answer : undefined;
  });
  if (at(reply, "ok") === true) return [];
  return [{ kind: "log", words: `the log does not verify: ${reply.text}` }];
}

import type { CrowdTimes } from "../../services/composition/src/backend-times.ts";
import type { HeldSession } from "@mayfly/testkit/contract";
import { bringForward } from "../bench/storm-leases.ts";
import { BACKEND, listAt, pause, READER } from "../harness/index.ts";
import { inTurns } from "./in-turns.ts";
import { surroundings, type MeasuredInstallation } from "./measured-installation.ts";
import { registrar } from "./upstreams.ts";
import type { CredentialData, RegisteredUpstream, Upstream } from "./upstreams/upstream.ts";

export interface CrowdOptions {
  readonly leases: number;
  readonly upstream: Upstream;
  /** Ends of the other backend, one every 100 ms. */
  readonly neighbours: number;
  /**
   * Whether the times count: then nothing may be due before all of it is ready. On a machine that
   * is busy with other things it may be, and is revoked all the same.
   */
  readonly isTimed: boolean;
  readonly say: (line: string) => void;
}

/** What was measured, and what is not as it has to be: something is left, or ended otherwise. */
export interface CrowdResult {
  readonly times: CrowdTimes;
  readonly broken: string[];
}

const PER_TASK = 10;
const CLIENTS = 8;
const SESSIONS_AT_ONCE = 8;
const NEIGHBOUR_EVERY_MS = 100;
/** The first of the neighbours is due before the crowd. */
const NEIGHBOUR_AHEAD_MS = 1_000;
/** To bring all ends forward; of what expires by itself, to issue it. */
const AHEAD_MS = 5_000;
const AHEAD_MS_PER_LEASE = 20;
const EXPIRING_AHEAD_MS_PER_LEASE = 100;
const ENDED_MS_MAX = 600_000;
const LOOK_MS = 100;
const SAY_MS = 5_000;
const SAMPLE = 20;

/**
 * So many leases of one type that are due in the same second, with a session open of each, and
 * meanwhile leases of another backend. Then the ledger is asked for the times, and the upstream for
 * what is left.
 */
export async function measureCrowd(
  installation: MeasuredInstallation,
  { leases, upstream, neighbours, isTimed, say }: CrowdOptions,
): Promise<CrowdResult> {
  const { mayfly, broker, redisUrl } = installation;
  const around = surroundings();
  const { type, outcome } = upstream;
  if (outcome === "never") throw new Error(`${type}: a lease of it ends once it is replaced`);
  await using started = new AsyncDisposableStack();
  const registered = await upstream.register(registrar(mayfly, broker, leases));
  started.defer(() => registered.stop());
  const expiring = Date.now() + AHEAD_MS + leases * EXPIRING_AHEAD_MS_PER_LEASE;
  const issued = await issueMany(installation, `${type}/one`, leases, () =>
    outcome === "expired" ? Math.round((expiring - Date.now()) / 1_000) : 600,
  );
  await issueMany(installation, READER, neighbours, () => 600, 1);
  say(`${type}: ${issued.length} leases issued`);
  const sessions = await openAll(registered, issued);
  started.defer(() => closeAll(sessions));
  say(`${type}: ${sessions.length} sessions open`);
  const dueMs =
    outcome === "expired" ? expiring : Date.now() + AHEAD_MS + leases * AHEAD_MS_PER_LEASE;
  if (outcome === "revoked") {
    const when = { backend: type, fromMs: dueMs, spanMs: 1_000, expiry: "kept" } as const;
    await bringForward(mayfly, redisUrl, when);
  }
  await bringForward(mayfly, redisUrl, {
    backend: BACKEND,
    fromMs: dueMs - NEIGHBOUR_AHEAD_MS,
    spanMs: neighbours * NEIGHBOUR_EVERY_MS,
  });
  if (isTimed && Date.now() > dueMs) {
    throw new Error(`${type}: all were due before they were ready`);
  }
  await ownEnded(installation, type, dueMs, say);
  const seen = await look(installation, type, dueMs);
  const broken = [
    ...findings(upstream, leases, seen),
    ...(await leftovers(upstream, registered, issued, sessions)),
  ];
  return {
    times: {
      ...around,
      version: registered.version,
      leases,
      sessions: sessions.length,
      seconds: Math.round(seen.lastSeconds * 100) / 100,
      outcome,
      neighbour: { ends: seen.neighbours, late_ms_max: Math.round(seen.neighbourLateMs) },
    },
    broken,
  };
}

/** By real exchanges of many workloads, `perTask` credentials each. */
export async function issueMany(
  { mayfly, broker: { api } }: MeasuredInstallation,
  role: string,
  count: number,
  ttlSeconds: () => number,
  perTask = PER_TASK,
): Promise<readonly CredentialData[]> {
  const issued: CredentialData[] = [];
  const tasks = Array.from({ length: Math.ceil(count / perTask) }, (_, nth) => nth);
  await inTurns(tasks, CLIENTS, async (nth) => {
    const credentials = Math.min(perTask, count - nth * perTask);
    const reply = await api.exchange({
      subject: mayfly.svid(`crowd-${nth}`),
      details: {
        type: "mayfly-task",
        goal: "look at an order, with many others",
        deadline: "1h",
        idle_timeout: "1h",
        credentials: Array.from({ length: credentials }, () => ({ role, ttl: ttlSeconds() })),
      },
    });
    if (reply.status !== 200) throw new Error(`${role}: ${reply.status} ${reply.text}`);
    for (const each of listAt(reply, "credentials")) {
      issued.push((each as { readonly data: CredentialData }).data);
    }
  });
  return issued;
}

async function openAll(
  { openSession }: RegisteredUpstream,
  issued: readonly CredentialData[],
): Promise<readonly HeldSession[]> {
  const sessions: HeldSession[] = [];
  if (openSession === null) return sessions;
  await inTurns(issued, SESSIONS_AT_ONCE, async (data) => {
    sessions.push(await openSession(data));
  });
  return sessions;
}

const closeAll = (sessions: readonly HeldSession[]): Promise<void> =>
  inTurns(sessions, SESSIONS_AT_ONCE, async (session) => session.close());

/** And those of the other backend that were due until then. */
async function ownEnded(
  { mayfly }: MeasuredInstallation,
  type: string,
  dueMs: number,
  say: (line: string) => void,
): Promise<void> {
  await pause(Math.max(0, dueMs - Date.now()));
  let saidAt = Date.now();
  for (;;) {
    const [row] = await mayfly.ledger<{ own: number; others: number }[]>`
      SELECT count(*) FILTER (WHERE backend_id = ${type})::int AS own,
        count(*) FILTER (WHERE backend_id = ${BACKEND} AND expires_at <= now())::int AS others
      FROM mayfly.leases WHERE state <> 'ended'`;
    if (row === undefined || row.own + row.others === 0) return;
    // What is left is told by what the ledger says of it.
    if (Date.now() > dueMs + ENDED_MS_MAX) return;
    if (Date.now() > saidAt + SAY_MS) {
      say(`${type}: ${row.own} of its leases are left`);
      saidAt = Date.now();
    }
    await pause(LOOK_MS);
  }
}

interface Seen {
  /** Of those that were due between the crowd and its last end. */
  readonly neighbours: number;
  readonly neighboursRevoked: number;
  readonly neighbourLateMs: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly lastSeconds: number;
}

/** The ledger. A lease that is not ended counts as one whose outcome is none. */
async function look(
  { mayfly: { ledger } }: MeasuredInstallation,
  type: string,
  dueMs: number,
): Promise<Seen> {
  const rows = await ledger<{ outcome: string; n: number; last: number | null }[]>`
    SELECT coalesce(outcome, 'none') AS outcome, count(*)::int AS n,
      max(extract(epoch FROM ended_at))::float8 AS last
    FROM mayfly.leases WHERE backend_id = ${type} GROUP BY 1`;
  const last = Math.max(...rows.map(({ last }) => last ?? Number.NaN));
  const until = Number.isNaN(last) ? Date.now() / 1_000 : last;
  // Its expiry is where it was brought to, whichever attempt ended it.
  const [other] = await ledger<{ n: number; revoked: number; late: number | null }[]>`
    SELECT count(*)::int AS n, count(*) FILTER (WHERE outcome = 'revoked')::int AS revoked,
      max(extract(epoch FROM coalesce(ended_at, now()) - expires_at) * 1000)::float8 AS late
    FROM mayfly.leases
    WHERE backend_id = ${BACKEND} AND expires_at >= to_timestamp(${dueMs / 1_000 - 1}::float8)
      AND expires_at <= to_timestamp(${until}::float8)`;
  return {
    outcomes: Object.fromEntries(rows.map(({ outcome, n }) => [outcome, n])),
    lastSeconds: last - dueMs / 1_000,
    neighbours: other?.n ?? 0,
    neighboursRevoked: other?.revoked ?? 0,
    neighbourLateMs: other?.late ?? Number.NaN,
  };
}

function findings({ type, outcome }: Upstream, leases: number, seen: Seen): readonly string[] {
  const found: string[] = [];
  if (seen.outcomes[outcome] !== leases) {
    found.push(`${type}: of ${leases} leases the outcomes are ${JSON.stringify(seen.outcomes)}`);
  }
  if (seen.neighbours === 0 || seen.neighboursRevoked !== seen.neighbours) {
    found.push(`${BACKEND}: ${seen.neighboursRevoked} of ${seen.neighbours} leases are revoked`);
  }
  return found;
}

/** The upstream itself, and those who held the sessions. */
async function leftovers(
  { type }: Upstream,
  { live, tryCredential }: RegisteredUpstream,
  issued: readonly CredentialData[],
  sessions: readonly HeldSession[],
): Promise<readonly string[]> {
  const found: string[] = [];
  const there = await live(issued);
  if (there > 0) found.push(`${type}: ${there} credentials or sessions are left there`);
  let open = 0;
  await inTurns(sessions, SESSIONS_AT_ONCE, async (session) => {
    if (await session.alive()) open++;
  });
  if (open > 0) found.push(`${type}: ${open} sessions are open`);
  const apart = Math.max(1, Math.floor(issued.length / SAMPLE));
  for (const data of issued.filter((_, nth) => nth % apart === 0)) {
    const verdict = await tryCredential(data);
    if (verdict !== "refused") found.push(`${type}: a credential of it was ${verdict}`);
  }
  return found;
}

import { randomBytes } from "node:crypto";
import {
  durationSeconds,
  idFromUuid,
  parseBackendId,
  parsePolicyId,
  parseRoleName,
  parseTrustRootName,
  plusSeconds,
  type Catalog,
  type Clock,
  type Decision,
  type IdKind,
  type IdOf,
  type IssueLedger,
  type LeaseIntent,
  type NewTask,
  type Reservation,
  type RoleName,
} from "@mayfly/spec";

const BACKEND_ID = parseBackendId("bench-db", "backend");
const TRUST_ROOT = parseTrustRootName("bench.test", "trust");
/** Limits of live leases are for people's mistakes. */
const LIMITS = { perTask: 100_000, perWorkload: 1_000_000, perRole: 1_000_000_000 } as const;
const ROLES = 20;

const roleOf = (n: number): RoleName => parseRoleName(`${BACKEND_ID}/reader-${n}`, "role");

/** Registers what the reservations are for; answers the catalog's version. */
export async function registerForLoad(catalog: Catalog): Promise<number> {
  const actor = { kind: "administrator", name: "bench" } as const;
  await catalog.putBackend(
    {
      id: BACKEND_ID,
      type: "postgres",
      revision: 1,
      enabled: true,
      sealedConfig: Uint8Array.of(0),
      describedConfig: {},
      upstreamIdentity: "bench",
    },
    actor,
  );
  for (let n = 0; n < ROLES; n++) {
    await catalog.putRole(
      {
        name: roleOf(n),
        backendId: BACKEND_ID,
        enabled: true,
        description: "Reads",
        ttlSecondsMax: durationSeconds(7200),
        dataClass: "confidential",
        reversibility: "read_only",
        environment: "test",
        settings: { member_of: "app_reader" },
      },
      actor,
    );
  }
  return catalog.version();
}

/** Reservations like those of exchanges: a workload, task and decisions of their own each. */
export interface LedgerLoad {
  /** A new task with so many leases. */
  next(leases: number): Reservation;
}

export function createLedgerLoad(clock: Clock, catalogVersion: number): LedgerLoad {
  let made = 0;
  return {
    next: (leases) => {
      const n = made++;
      const task = taskOf(clock, n);
      const decisions = Array.from({ length: leases }, () => decisionOf(clock, task));
      return {
        task: { kind: "open", task },
        decisions,
        leases: decisions.map((decision, at) => leaseOf(clock, decision, (n + at) % ROLES)),
        idempotency: null,
        oneTime: null,
        confirmation: null,
        catalogVersion,
        limits: LIMITS,
      };
    },
  };
}

export interface LoadedLedger {
  readonly leases: number;
  readonly perSecond: number;
}

/** So many reservations under way at once, each durable before its client sends the next one. */
export async function loadReservations(
  issue: IssueLedger,
  load: LedgerLoad,
  shape: { readonly clients: number; readonly leasesEach: number; readonly seconds: number },
): Promise<LoadedLedger> {
  const fromMs = performance.now();
  const toMs = fromMs + shape.seconds * 1000;
  let leases = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < toMs) {
      const reserved = await issue.reserve(load.next(shape.leasesEach));
      if (reserved.kind !== "reserved") throw new Error(`a reservation: ${reserved.kind}`);
      leases += reserved.leases.length;
    }
  };
  await Promise.all(Array.from({ length: shape.clients }, client));
  return { leases, perSecond: leases / ((performance.now() - fromMs) / 1000) };
}

/** A UUIDv7 of now. */
function mint<K extends IdKind>(kind: K, clock: Clock): IdOf[K] {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(clock.now(), 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = bytes.toString("hex");
  return idFromUuid(kind, hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"));
}

function taskOf(clock: Clock, n: number): NewTask {
  const now = clock.now();
  const name = `bot-${n}`;
  return {
    id: mint("task", clock),
    parentId: null,
    identity: {
      workload: {
        trustRoot: TRUST_ROOT,
        kind: "spiffe",
        issuer: "spiffe://bench.test",
        subject: `spiffe://bench.test/agent/${name}`,
        attributes: { path: { value: `/agent/${name}`, stability: "immutable" } },
      },
      expiresAt: plusSeconds(now, 300),
      identityMaxAgeSeconds: durationSeconds(600),
      provenAt: now,
      tokenSha256: randomBytes(32).toString("hex"),
      oneTime: null,
      confirmation: null,
      mayInitiate: false,
      mayAdminister: false,
      mustProvePossession: false,
    },
    verifiedInitiator: null,
    initiatorTrustRoot: null,
    descriptor: {
      version: 1,
      goal: `Reconcile invoices ${n}`,
      ref: `BENCH-${n}`,
      deadlineSeconds: durationSeconds(3600),
      idleTimeoutSeconds: durationSeconds(3600),
      claimedInitiator: null,
      targets: [],
      credentials: [],
      parent: null,
    },
    deadlineAt: plusSeconds(now, 3600),
  };
}

const decisionOf = (clock: Clock, task: NewTask): Decision => ({
  id: mint("decision", clock),
  taskId: task.id,
  request: { action: "issue", principal: task.identity.workload.subject, resource: "bench-db" },
  verdict: {
    effect: "permit",
    determining: [parsePolicyId("bots-read", "policy")],
    explanation: "Policy 'bots-read' permits it.",
  },
  policyDigest: "9f".repeat(32),
  decidedAt: clock.now(),
});

function leaseOf(clock: Clock, decision: Decision, role: number): LeaseIntent {
  const id = mint("lease", clock);
  const now = clock.now();
  return {
    id,
    role: roleOf(role),
    backendId: BACKEND_ID,
    backendType: "postgres",
    backendRevision: 1,
    decisionId: decision.id,
    plan: {
      leaseId: id,
      externalName: `mf_benchaaa_${id.slice("lease_".length)}`,
      expiresAt: plusSeconds(now, 900),
      grant: { member_of: ["app_reader"], owner: "app_owner", connection_limit: 4 },
    },
    issueBy: plusSeconds(now, 10),
    settleBy: plusSeconds(now, 145),
  };
}

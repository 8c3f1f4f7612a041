import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import {
  BrokerError,
  durationSeconds,
  idFromUuid,
  parseBackendId,
  parsePolicyId,
  parseRoleName,
  parseTrustRootName,
  plusSeconds,
  type Activation,
  type Actor,
  type BackendId,
  type Claim,
  type Decision,
  type ErrorCode,
  type IdKind,
  type IdOf,
  type LeaseHandle,
  type LeaseIntent,
  type NewTask,
  type RegisteredBackend,
  type Reservation,
  type ReserveResult,
  type Role,
  type RoleName,
  type Task,
  type TaskId,
  type VerifiedIdentity,
} from "@mayfly/spec";
import type { LedgerUnderTest } from "./subject.ts";

export const ADMIN: Actor = { kind: "administrator", name: "alice" };
export const LIMITS = { perTask: 100, perWorkload: 1000, perRole: 1000 } as const;

let lastMintedMs = 0;

/** A UUIDv7 of now; later ones sort later, also within a millisecond (RFC 9562 section 6.2). */
export function mintId<K extends IdKind>(kind: K): IdOf[K] {
  const bytes = randomBytes(16);
  lastMintedMs = Math.max(lastMintedMs + 1, Date.now());
  bytes.writeUIntBE(lastMintedMs, 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString("hex");
  return idFromUuid(kind, hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"));
}

export const unique = (prefix: string): string => `${prefix}-${randomBytes(5).toString("hex")}`;
export const sha256 = (): string => randomBytes(32).toString("hex");

export function identity(ledger: LedgerUnderTest, name = unique("bot")): VerifiedIdentity {
  const now = ledger.now();
  return {
    workload: {
      trustRoot: parseTrustRootName("acme.test", "trust"),
      kind: "spiffe",
      issuer: "spiffe://acme.test",
      subject: `spiffe://acme.test/agent/${name}`,
      attributes: { path: { value: `/agent/${name}`, stability: "immutable" } },
    },
    expiresAt: plusSeconds(now, 300),
    identityMaxAgeSeconds: durationSeconds(600),
    provenAt: now,
    tokenSha256: sha256(),
    oneTime: null,
    confirmation: null,
    mayInitiate: false,
    mayAdminister: false,
    mustProvePossession: false,
  };
}

export interface TaskOptions {
  readonly parent?: Task;
  readonly deadlineSeconds?: number;
  readonly idleTimeoutSeconds?: number;
  readonly verifiedInitiator?: string;
  readonly claimedInitiator?: string;
  readonly ref?: string;
  readonly identity?: VerifiedIdentity;
  readonly initiatorActors?: readonly string[];
}

export function newTask(ledger: LedgerUnderTest, options: TaskOptions = {}): NewTask {
  const deadlineSeconds = durationSeconds(options.deadlineSeconds ?? 600);
  return {
    id: mintId("task"),
    parentId: options.parent?.id ?? null,
    identity: options.identity ?? identity(ledger),
    verifiedInitiator: options.verifiedInitiator ?? null,
    initiatorTrustRoot:
      options.verifiedInitiator === undefined ? null : parseTrustRootName("login", "trust"),
    ...(options.initiatorActors === undefined ? {} : { initiatorActors: options.initiatorActors }),
    descriptor: {
      version: 1,
      goal: "Reconcile the October invoices",
      ref: options.ref ?? null,
      deadlineSeconds,
      idleTimeoutSeconds: durationSeconds(options.idleTimeoutSeconds ?? 300),
      claimedInitiator: options.claimedInitiator ?? null,
      targets: ["orders-db:orders"],
      credentials: [],
      parent: options.parent?.id ?? null,
    },
    deadlineAt: plusSeconds(ledger.now(), deadlineSeconds),
  };
}

export interface TestBackend {
  readonly id: BackendId;
  readonly role: RoleName;
  readonly revision: number;
}

export function backendRecord(
  id: BackendId,
  overrides: Partial<Omit<RegisteredBackend, "updatedAt">> = {},
): Omit<RegisteredBackend, "updatedAt"> {
  return {
    id,
    type: "postgres",
    revision: 1,
    enabled: true,
    sealedConfig: Uint8Array.of(1, 2, 3, 0, 255),
    describedConfig: { host: "db.internal", database: "orders" },
    upstreamIdentity: "system-7",
    ...overrides,
  };
}

export function roleRecord(name: RoleName, backendId: BackendId): Role {
  return {
    name,
    backendId,
    enabled: true,
    description: "Read orders",
    ttlSecondsMax: durationSeconds(1800),
    dataClass: "confidential",
    reversibility: "read_only",
    environment: "prod",
    settings: { member_of: "app_reader" },
  };
}

/** A backend with one role, registered under a name that no other test uses. */
export async function registerBackend(ledger: LedgerUnderTest): Promise<TestBackend> {
  const id = parseBackendId(unique("db"), "id");
  const role = parseRoleName(`${id}/reader`, "role");
  await ledger.catalog.putBackend(backendRecord(id), ADMIN);
  await ledger.catalog.putRole(roleRecord(role, id), ADMIN);
  return { id, role, revision: 1 };
}

export function decision(ledger: LedgerUnderTest, taskId: TaskId | null): Decision {
  return {
    id: mintId("decision"),
    taskId,
    request: { action: "issue" },
    verdict: {
      effect: "permit",
      determining: [parsePolicyId("bots-read", "policy")],
      explanation: "Policy 'bots-read' permits it.",
    },
    policyDigest: "9f".repeat(32),
    decidedAt: ledger.now(),
  };
}

export interface LeaseTimes {
  readonly issueSeconds?: number;
  readonly settleSeconds?: number;
  readonly ttlSeconds?: number;
}

export function leaseIntent(
  ledger: LedgerUnderTest,
  backend: TestBackend,
  decided: Decision,
  times: LeaseTimes = {},
): LeaseIntent {
  const id = mintId("lease");
  const now = ledger.now();
  return {
    id,
    role: backend.role,
    backendId: backend.id,
    backendType: "postgres",
    backendRevision: backend.revision,
    decisionId: decided.id,
    plan: {
      leaseId: id,
      externalName: `mf_test_${id.slice(-8)}`,
      expiresAt: plusSeconds(now, times.ttlSeconds ?? 300),
      grant: { member_of: "app_reader", connection_limit: 2 },
    },
    issueBy: plusSeconds(now, times.issueSeconds ?? 10),
    settleBy: plusSeconds(now, times.settleSeconds ?? 120),
  };
}

export interface ReservationOptions extends LeaseTimes {
  readonly leases?: number;
  /** The existing task, or the one to open. */
  readonly under?: Task;
  readonly open?: NewTask;
  readonly proof?: VerifiedIdentity;
  readonly reservation?: Partial<Reservation>;
}

export async function reservationOf(
  ledger: LedgerUnderTest,
  backend: TestBackend,
  options: ReservationOptions = {},
): Promise<Reservation> {
  const task: Reservation["task"] =
    options.under === undefined
      ? { kind: "open", task: options.open ?? newTask(ledger) }
      : { kind: "existing", taskId: options.under.id, identity: options.proof ?? null };
  const taskId = task.kind === "open" ? task.task.id : task.taskId;
  const decisions = Array.from({ length: options.leases ?? 1 }, () => decision(ledger, taskId));
  return {
    task,
    decisions,
    leases: decisions.map((decided) => leaseIntent(ledger, backend, decided, options)),
    idempotency: null,
    oneTime: null,
    confirmation: null,
    catalogVersion: await ledger.catalog.version(),
    limits: LIMITS,
    ...options.reservation,
  };
}

export type Reserved = Extract<ReserveResult, { kind: "reserved" }>;

/** Other tests change the catalogue at the same time: as the core does, decides again. */
export async function reserve(
  ledger: LedgerUnderTest,
  reservation: Reservation,
): Promise<Reserved> {
  for (let attempt = 0; attempt < 10; attempt++) {
    const catalogVersion = await ledger.catalog.version();
    const result = await ledger.issue.reserve({ ...reservation, catalogVersion });
    if (result.kind === "reserved") return result;
    expect(result.kind).toBe("stale_catalog");
  }
  throw new Error("the catalogue never stood still");
}

export async function openTask(
  ledger: LedgerUnderTest,
  options: TaskOptions = {},
  reservation: Partial<Reservation> = {},
): Promise<Task> {
  const { task } = await reserve(ledger, {
    task: { kind: "open", task: newTask(ledger, options) },
    decisions: [],
    leases: [],
    idempotency: null,
    oneTime: null,
    confirmation: null,
    catalogVersion: 0,
    limits: LIMITS,
    ...reservation,
  });
  return task;
}

export async function reserveLease(
  ledger: LedgerUnderTest,
  backend: TestBackend,
  options: ReservationOptions = {},
): Promise<{ task: Task; lease: LeaseHandle<"reserved">; intent: LeaseIntent }> {
  const reservation = await reservationOf(ledger, backend, options);
  const { task, leases } = await reserve(ledger, reservation);
  return { task, lease: leases[0]!, intent: reservation.leases[0]! };
}

export function activation(
  ledger: LedgerUnderTest,
  overrides: Partial<Activation> & { readonly ttlSeconds?: number } = {},
): Activation {
  const { ttlSeconds = 300, ...rest } = overrides;
  return {
    expiresAt: plusSeconds(ledger.now(), ttlSeconds),
    sealedHandle: Uint8Array.from(randomBytes(24)),
    fingerprint: sha256(),
    ...rest,
  };
}

export async function activeLease(
  ledger: LedgerUnderTest,
  backend: TestBackend,
  options: ReservationOptions = {},
): Promise<{ task: Task; lease: LeaseHandle<"active">; handle: Uint8Array; fingerprint: string }> {
  const { task, lease } = await reserveLease(ledger, backend, options);
  const { ttlSeconds } = options;
  const given = activation(ledger, ttlSeconds === undefined ? {} : { ttlSeconds });
  const result = await ledger.issue.activate(lease, given);
  if (result.kind !== "active") throw new Error(`not activated: ${result.kind}`);
  const { sealedHandle: handle, fingerprint } = given;
  return { task, lease: result.lease, handle, fingerprint };
}

export async function endTask(
  ledger: LedgerUnderTest,
  taskId: TaskId,
  state: "completed" | "failed" | "cancelled" | "killed" | "expired" = "completed",
): ReturnType<LedgerUnderTest["tasks"]["applyEnd"]> {
  await ledger.tasks.requestEnd({ taskId, state, actor: ADMIN, reason: "done" });
  return ledger.tasks.applyEnd(taskId);
}

export async function claimOne(ledger: LedgerUnderTest, backend: TestBackend): Promise<Claim> {
  const claims = await ledger.sweep.claim(backend.id, 10, durationSeconds(30));
  expect(claims).toHaveLength(1);
  return claims[0]!;
}

/** More than all that a suite makes: a ledger whose pages never end is no reason to hang. */
const EVENT_PAGES_MAX = 1_000;

export async function eventKinds(
  ledger: LedgerUnderTest,
  filter: Parameters<LedgerUnderTest["queries"]["events"]>[0],
): Promise<readonly string[]> {
  const kinds: string[] = [];
  let after: string | null = null;
  for (let page = 0; page < EVENT_PAGES_MAX; page++) {
    const { items, next } = await ledger.queries.events(filter, { limit: 1000, after });
    kinds.push(...items.map(({ kind }) => kind));
    if (next === null) return kinds;
    after = next;
  }
  throw new Error(`the ledger's events have more than ${EVENT_PAGES_MAX} pages`);
}

/** The call is refused with this code. */
export async function refusedWith(code: ErrorCode, call: Promise<unknown>): Promise<BrokerError> {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!BrokerError.is(error)) throw new Error(`expected ${code}, got ${String(error)}`);
  expect(error.code).toBe(code);
  return error;
}

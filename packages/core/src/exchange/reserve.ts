import {
  BrokerError,
  plusSeconds,
  workloadName,
  type IdempotencyScope,
  type LeaseIntent,
  type Reservation,
  type ReserveResult,
  type TokenUse,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";
import { mintId } from "../mint-id.ts";
import type { CorePorts } from "../ports.ts";
import { sha256Hex } from "../sha256-hex.ts";
import type { ImpersonationDecision } from "../impersonation.ts";
import type { Ask } from "./ask.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { Permitted } from "./judge.ts";
import type { TaskFacts } from "./task-facts.ts";

/** An Idempotency-Key with where it counts and what `readIdempotent` showed. */
export interface SeenKey {
  readonly scope: IdempotencyScope;
  readonly bodySha256: string;
  readonly seenGeneration: number;
}

export function scopeOf(
  ask: Ask,
  idempotency: NonNullable<ExchangeRequest["idempotency"]>,
): IdempotencyScope {
  const [workload, confirmation, taskId] =
    ask.kind === "open"
      ? [ask.identity.workload, ask.identity.confirmation, ask.parent?.id]
      : [ask.task.workload, ask.task.confirmation, ask.task.id];
  const scope = [workload.trustRoot, workloadName(workload), confirmation ?? "", taskId ?? ""];
  return { scopeSha256: sha256Hex(JSON.stringify(scope)), key: idempotency.key };
}

/** What a denial uses up, as a reservation would; null where no token counts once. */
export function tokenUseOf(ask: Ask, key: SeenKey | null): TokenUse | null {
  const oneTime = ask.identity?.oneTime ?? null;
  if (oneTime === null) return null;
  const idempotency = key === null ? null : { ...key.scope, bodySha256: key.bodySha256 };
  return { oneTime, idempotency, confirmation: confirmationOf(ask) };
}

const confirmationOf = (ask: Ask): string | null =>
  ask.kind === "open" ? ask.identity.confirmation : ask.task.confirmation;

/** What was decided of an exchange, all of it permits. */
export interface Decided {
  readonly permitted: readonly Permitted[];
  /** Null: the task's tokens say who acts. */
  readonly impersonation: ImpersonationDecision | null;
}

/** Step 6: from here on, a crash is the sweep's to clean up. */
export async function reserve(
  ports: CorePorts,
  view: CatalogView,
  ask: Ask,
  facts: TaskFacts,
  { permitted, impersonation }: Decided,
  key: SeenKey | null,
): Promise<{ readonly result: ReserveResult; readonly intents: readonly LeaseIntent[] }> {
  const minted = permitted.filter(({ wanted }) => wanted.mint);
  const intents = minted.map((one) => intentOf(ports, one));
  const reservation: Reservation = {
    task:
      ask.kind === "open"
        ? { kind: "open", task: newTask(ports, ask, facts, permitted) }
        : { kind: "existing", taskId: ask.task.id, identity: ask.identity },
    decisions: [
      ...(impersonation === null ? [] : [impersonation.decision]),
      ...minted.map(({ decision }) => decision),
    ],
    leases: intents,
    idempotency:
      key === null
        ? null
        : { ...key.scope, bodySha256: key.bodySha256, seenGeneration: key.seenGeneration },
    oneTime: ask.identity?.oneTime ?? null,
    confirmation: confirmationOf(ask),
    catalogVersion: view.version,
    limits: ports.settings.limits,
  };
  await ports.failPoints.reached("reserve.before");
  const result = await ports.issueLedger.reserve(reservation);
  await ports.failPoints.reached("reserve.after");
  return { result, intents };
}

function newTask(
  ports: CorePorts,
  ask: Extract<Ask, { kind: "open" }>,
  facts: TaskFacts,
  permitted: readonly Permitted[],
): Extract<Reservation["task"], { kind: "open" }>["task"] {
  const planned = new Map(permitted.map((one) => [one.wanted.index, one]));
  return {
    id: mintId("task", ports),
    parentId: ask.parent?.id ?? null,
    identity: ask.identity,
    verifiedInitiator: ask.verifiedInitiator,
    initiatorTrustRoot: ask.initiatorTrustRoot,
    // A child's are its parent's, which are on record.
    ...(ask.parent === null && ask.pastActors.length > 0
      ? { initiatorActors: ask.pastActors }
      : {}),
    descriptor: {
      ...ask.descriptor,
      // A child's own descriptor bounds what it draws and renews: it carries its parent's bounds.
      credentials: ask.descriptor.credentials.map((request, index) => {
        const one = planned.get(index);
        if (one === undefined) throw new BrokerError("internal", "a credential was not judged");
        return { ...request, params: one.params, ttlSeconds: one.declaredTtlSeconds };
      }),
    },
    deadlineAt: facts.deadlineAt,
  };
}

/**
 * `settleBy`: after it no issue of ours can take effect any more, whatever became of the call: its
 * last sending, plus the type's longest call, plus twice the skew between the clocks involved.
 */
function intentOf(ports: CorePorts, one: Permitted): LeaseIntent {
  const { issueSeconds, clockSkewSecondsMax } = ports.settings;
  const { registered, type, role } = one.target;
  const issueBy = plusSeconds(ports.clock.now(), issueSeconds);
  const settleSeconds = type.capabilities.issueCallSecondsMax + 2 * clockSkewSecondsMax;
  return {
    id: one.plan.leaseId,
    role: role.name,
    backendId: registered.id,
    backendType: registered.type,
    backendRevision: registered.revision,
    decisionId: one.decision.id,
    plan: one.plan,
    issueBy,
    settleBy: plusSeconds(issueBy, settleSeconds),
  };
}

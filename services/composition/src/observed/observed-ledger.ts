import type { Ledger } from "@mayfly/postgres";
import type {
  Claim,
  ClaimFound,
  ClaimOutcome,
  Decision,
  IssueLedger,
  SweepLedger,
  TaskLedger,
} from "@mayfly/spec";
import { watch, watchMethods, type Observing } from "./observe.ts";

/** The ledger's ports, each call timed, and counted where it says what happened. */
export function observedLedger(ledger: Ledger, observing: Observing): Ledger {
  const timed = <T extends object>(port: string, target: T): T =>
    watchMethods(target, (method, call) => timedCall(observing, `${port}.${method}`, call));
  return {
    ...ledger,
    issue: countedIssues(timed("issue", ledger.issue), observing),
    tasks: countedTasks(timed("tasks", ledger.tasks), observing),
    sweep: countedSweeps(timed("sweep", ledger.sweep), observing),
    selectorEnds: timed("selector_ends", ledger.selectorEnds),
    health: timed("health", ledger.health),
    sequencer: timed("sequencer", ledger.sequencer),
    queries: timed("queries", ledger.queries),
    catalog: countedCatalog(timed("catalog", ledger.catalog), observing),
    signingKeys: timed("signing_keys", ledger.signingKeys),
    proofUses: timed("proof_uses", ledger.proofUses),
    bundleSequences: timed("bundle_sequences", ledger.bundleSequences),
  };
}

async function timedCall(
  observing: Observing,
  call: string,
  run: () => Promise<unknown>,
): Promise<unknown> {
  const { metrics } = observing;
  metrics.change("mayfly_ledger_calls_in_flight", {}, 1);
  const attributes = { "db.system.name": "postgresql", "db.operation.name": call };
  const step = { name: `ledger.${call}`, kind: "client", attributes } as const;
  try {
    return await watch(observing, step, run, (seconds, outcome) =>
      metrics.observe("mayfly_ledger_call_seconds", { call, outcome }, seconds),
    );
  } finally {
    metrics.change("mayfly_ledger_calls_in_flight", {}, -1);
  }
}

function countedIssues(issue: IssueLedger, { metrics }: Observing): IssueLedger {
  const decided = ({ verdict }: Decision): void => {
    metrics.add("mayfly_decisions_total", { effect: verdict.effect });
    if (verdict.effect === "deny") metrics.add("mayfly_denials_total", { why: verdict.why });
  };
  return {
    readIdempotent: (scope) => issue.readIdempotent(scope),
    reserve: async (reservation) => {
      const result = await issue.reserve(reservation);
      if (result.kind === "reserved") {
        for (const decision of reservation.decisions) decided(decision);
        if (reservation.task.kind === "open") metrics.add("mayfly_tasks_opened_total", {});
      }
      return result;
    },
    checkpoint: (lease, handle) => issue.checkpoint(lease, handle),
    activate: (lease, activation) => issue.activate(lease, activation),
    abandon: (lease, why) => issue.abandon(lease, why),
    recordDenial: async (denial) => {
      await issue.recordDenial(denial);
      decided(denial.decision);
    },
    recordTokenUse: (oneTime) => issue.recordTokenUse(oneTime),
    recordRenewal: async (renewal) => {
      const recorded = await issue.recordRenewal(renewal);
      if (recorded.kind === "recorded") decided(renewal.decision);
      return recorded;
    },
  };
}

const countedTasks = (tasks: TaskLedger, { metrics }: Observing): TaskLedger =>
  overriding(tasks, {
    requestEnd: async (end) => {
      const answer = await tasks.requestEnd(end);
      if (answer === "requested") metrics.add("mayfly_task_ends_total", { state: end.state });
      return answer;
    },
  });

function countedSweeps(sweep: SweepLedger, { metrics, clock }: Observing): SweepLedger {
  const claimedAtMs = new WeakMap<Claim, number>();
  const settled = (claim: Claim, outcome: ClaimFound | ClaimOutcome): void => {
    const backend = claim.backendId;
    if (outcome.kind === "failed") {
      metrics.add("mayfly_lease_retries_total", { backend, stuck: String(outcome.stuck) });
    }
    if (outcome.kind !== "ended") return;
    metrics.add("mayfly_lease_ends_total", { backend, outcome: outcome.outcome });
    const atMs = claimedAtMs.get(claim);
    if (outcome.outcome !== "revoked" || claim.dueForSeconds === null || atMs === undefined) return;
    const seconds = claim.dueForSeconds + (clock.monotonicMs() - atMs) / 1000;
    metrics.observe("mayfly_revoke_seconds", { backend }, seconds);
  };
  return overriding(sweep, {
    claim: async (...wanted) => {
      const claims = await sweep.claim(...wanted);
      const nowMs = clock.monotonicMs();
      for (const claim of claims) claimedAtMs.set(claim, nowMs);
      return claims;
    },
    settle: async (claim, outcome) => {
      const isOurs = await sweep.settle(claim, outcome);
      if (isOurs) settled(claim, outcome);
      return isOurs;
    },
  });
}

const countedCatalog = (catalog: Ledger["catalog"], { metrics }: Observing): Ledger["catalog"] =>
  overriding(catalog, {
    snapshot: async () => {
      try {
        return await catalog.snapshot();
      } catch (error) {
        metrics.add("mayfly_config_load_failures_total", { part: "catalog" });
        throw error;
      }
    },
  });

/** `target` with some of its methods replaced; the others stay those of `target`. */
export function overriding<T extends object>(target: T, own: Partial<T>): T {
  return new Proxy(target, {
    get: (object, key): unknown => {
      const source: object = Reflect.has(own, key) ? own : object;
      const member: unknown = Reflect.get(source, key);
      if (typeof member !== "function") return member;
      // Of a class, a method works on the object itself, whose private members no proxy has.
      return (...given: unknown[]): unknown => {
        const result: unknown = Reflect.apply(member, source, given);
        return result;
      };
    },
  });
}

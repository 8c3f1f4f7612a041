import {
  InvalidInput,
  LATE_SECONDS_MIN,
  instantMs,
  workloadName,
  type Exposure,
  type ExposureSummary,
  type Holder,
  type InstantMs,
  type LateEnd,
  type Lease,
  type LedgerEvent,
  type PolicyId,
  type PolicyUse,
  type SecurityQueries,
  type Touch,
  type WorkloadExposure,
} from "@mayfly/spec";
import { isIn, isLeaseWanted, newestFirst, paged } from "./queries.ts";
import { isLive, leaseOf, type LeaseRow, type MemoryStore } from "./store.ts";

export function createSecurityQueries(store: MemoryStore): SecurityQueries {
  const { gate } = store;
  const leases = (): Lease[] => [...store.leases.values()].map((row) => leaseOf(store, row));
  const holders = (): Holder[] => newestFirst(leases()).map((lease) => holderOf(store, lease));
  return {
    holders: (filter, page) =>
      gate.run("holders", () => {
        const found = holders().filter(({ lease }) => isLeaseWanted(store, filter, lease));
        return unwrapped(paged("holders", found.map(byLease), page));
      }),
    touched: (filter, page) =>
      gate.run("touched", () => {
        const wanted = touchesOf(store, filter.workload).filter(({ item }) =>
          isIn(item.at, filter),
        );
        return unwrapped(paged("touched", newestFirst(wanted), page));
      }),
    exposure: (workload) => gate.run("exposure", () => exposureOf(store, workload)),
    lateEnds: (filter, page) =>
      gate.run("lateEnds", () => {
        if (!(filter.overSeconds >= LATE_SECONDS_MIN)) {
          throw new InvalidInput(`over: expected at least ${LATE_SECONDS_MIN} s`, {
            where: "over",
          });
        }
        const late = [...store.leases.values()]
          .map((row) => lateEndOf(store, row))
          .filter(({ lateSeconds }) => lateSeconds >= filter.overSeconds)
          .filter(({ dueAt }) => isIn(dueAt, filter))
          .filter(({ lease }) => isLeaseWanted(store, onlyOf(filter), lease));
        return unwrapped(paged("late", newestFirst(late.map(byLease)), page));
      }),
    policyUse: (digest, ids) => gate.run("policyUse", () => policyUse(store, digest, ids)),
    administration: (filter, page) =>
      gate.run("administration", () => {
        const found = store.events
          .filter(({ kind }) => !/^(?:task|lease|decision)\./.test(kind))
          .filter(({ actor }) => filter.actor === undefined || actor.name === filter.actor)
          .filter(({ at }) => isIn(at, filter));
        return paged<LedgerEvent>("administration", newestFirst(found), page);
      }),
    byFingerprint: (fingerprints, limit) =>
      gate.run("byFingerprint", () =>
        holders()
          .filter(({ lease }) => fingerprints.includes(lease.fingerprint ?? ""))
          .slice(0, limit),
      ),
    byLeaseId: (ids) =>
      gate.run("byLeaseId", () => holders().filter(({ lease }) => ids.includes(lease.id))),
  };
}

interface Keyed<T> {
  readonly id: string;
  readonly item: T;
}
const byLease = <T extends { readonly lease: Lease }>(item: T): Keyed<T> => ({
  id: item.lease.id,
  item,
});
const unwrapped = <T>(page: {
  readonly items: readonly Keyed<T>[];
  readonly next: string | null;
}) => ({
  items: page.items.map(({ item }) => item),
  next: page.next,
});

const onlyOf = ({ backendId, workload }: Parameters<SecurityQueries["lateEnds"]>[0]) => ({
  ...(backendId === undefined ? {} : { backendId }),
  ...(workload === undefined ? {} : { workload }),
});

function holderOf(store: MemoryStore, lease: Lease): Holder {
  const task = lease.taskId === null ? undefined : store.tasks.get(lease.taskId);
  const decision = lease.decisionId === null ? undefined : store.decisions.get(lease.decisionId);
  const verified = task?.verifiedInitiator ?? null;
  const claimed = task?.descriptor.claimedInitiator ?? null;
  const name = verified ?? claimed;
  return {
    lease,
    task:
      task === undefined
        ? null
        : {
            id: task.id,
            state: task.state,
            goal: task.descriptor.goal,
            ref: task.descriptor.ref,
            trustRoot: task.workload.trustRoot,
          },
    initiator: name === null ? null : { name, basis: verified === null ? "claimed" : "verified" },
    policy:
      decision === undefined
        ? null
        : { digest: decision.policyDigest, determining: decision.verdict.determining },
  };
}

/** Sorted by the UUID, whatever it is the id of. */
function touchesOf(store: MemoryStore, workload: string): Keyed<Touch>[] {
  const uuid = (id: string): string => id.slice(id.indexOf("_") + 1);
  const held = [...store.leases.values()]
    .filter((row) => row.workload === workload)
    .map((row): Keyed<Touch> => {
      const holder = holderOf(store, leaseOf(store, row));
      return { id: uuid(row.id), item: { kind: "lease", at: row.reservedAt, holder } };
    });
  const denied = store.events
    .filter(({ kind, actor }) => kind === "decision.denied" && actor.name === workload)
    .flatMap(({ decisionId, data }): Keyed<Touch>[] => {
      const decision = decisionId === null ? undefined : store.decisions.get(decisionId);
      if (decision === undefined) return [];
      const role = data["role"];
      const item: Touch = {
        kind: "denial",
        at: decision.decidedAt,
        decisionId: decision.id,
        role: typeof role === "string" ? role : null,
        taskId: decision.taskId,
        determining: decision.verdict.determining,
        policyDigest: decision.policyDigest,
      };
      return [{ id: uuid(decision.id), item }];
    });
  return [...held, ...denied];
}

export function summaryOf(exposures: readonly Exposure[]): ExposureSummary {
  const live = exposures.filter(({ kind }) => kind !== "none");
  const until = live.flatMap((one) => (one.kind === "until" ? [one.until] : []));
  return {
    leases: live.length,
    unknown: live.length - until.length,
    until: until.length === 0 ? null : instantMs(Math.max(...until)),
  };
}

function exposureOf(store: MemoryStore, workload: string): WorkloadExposure {
  const active = [...store.tasks.values()].filter(
    (task) => task.state === "active" && workloadName(task.workload) === workload,
  );
  const ids = new Set<string>(active.map(({ id }) => id));
  const below = new Set<string | null>(
    [...store.tasks.values()]
      .filter(({ ancestors }) => ancestors.some((id) => ids.has(id)))
      .map(({ id }) => id),
  );
  const live = [...store.leases.values()].filter(isLive).map((row) => leaseOf(store, row));
  const own = live.filter((lease) => lease.workload === workload);
  const others = live.filter((lease) => lease.workload !== workload && below.has(lease.taskId));
  const roles = active.flatMap(({ descriptor }) => descriptor.credentials.map(({ role }) => role));
  return {
    workload,
    asOf: store.clock.now(),
    leases: summaryOf(own.map(({ exposure }) => exposure)),
    below: summaryOf(others.map(({ exposure }) => exposure)),
    tasksActive: active.length,
    tasksUntil:
      active.length === 0 ? null : instantMs(Math.max(...active.map((task) => task.deadlineAt))),
    mayDraw: [...new Set(roles)].toSorted(),
  };
}

function lateEndOf(store: MemoryStore, row: LeaseRow): LateEnd {
  const lease = leaseOf(store, row);
  const { expiresAt, endRequestedAt, activatedAt, settleBy } = lease;
  const asked = Math.min(expiresAt, endRequestedAt ?? expiresAt);
  const dueAt: InstantMs = activatedAt === null ? settleBy : instantMs(asked);
  const why = (): LateEnd["why"] => {
    if (lease.endReason === "resurfaced") return "resurfaced";
    if (lease.attempts > 0 || lease.lastError !== null) return "failed_attempts";
    return (row.waiting?.reason ?? "live") === "live" ? "not_reached" : "propagating";
  };
  const lateSeconds = ((lease.endedAt ?? store.clock.now()) - dueAt) / 1000;
  return { lease, dueAt, lateSeconds, why: why() };
}

/** Here the log is counted as it is read, so that nothing is ever left to count. */
function policyUse(store: MemoryStore, digest: string, ids: readonly PolicyId[]): PolicyUse {
  const counted = store.events.flatMap(({ kind, decisionId, logIndex }) => {
    if (decisionId === null || logIndex === null || !kind.startsWith("decision.")) return [];
    return store.decisions.get(decisionId) ?? [];
  });
  const policies = ids.map((id) => {
    const of = counted.filter(({ verdict }) => verdict.determining.some((one) => one === id));
    const here = of.filter(({ policyDigest }) => policyDigest === digest);
    const permits = (all: typeof of): number =>
      all.filter(({ verdict }) => verdict.effect === "permit").length;
    const at = of.map(({ decidedAt }) => decidedAt);
    return {
      id,
      permits: permits(here),
      denials: here.length - permits(here),
      permitsEver: permits(of),
      denialsEver: of.length - permits(of),
      lastAt: at.length === 0 ? null : instantMs(Math.max(...at)),
    };
  });
  return { digest, uncounted: 0, policies };
}

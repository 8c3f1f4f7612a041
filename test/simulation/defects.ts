import type { CorePorts } from "@mayfly/core";
import { LedgerFault, type Stage } from "@mayfly/postgres/group-commit";
import {
  durationSeconds,
  instantMs,
  type BackendSlots,
  type CredentialBackend,
  type LeaseIntent,
  type OpenBackend,
  type Reservation,
} from "@mayfly/spec";
import type { FakeUpstream, MemoryLedger } from "@mayfly/testkit";
import type { Machine } from "./simulated-process.ts";

interface Surroundings {
  readonly machine: Machine;
  readonly ledger: MemoryLedger;
  readonly upstreams: ReadonlyMap<string, FakeUpstream>;
}

/** A mistake that somebody could make in Mayfly, made on purpose at the edge of the core. */
export interface Defect {
  readonly name: string;
  spoil(ports: CorePorts, around: Surroundings): CorePorts;
  /** Of the ledger's group commit. */
  spoilStage?<Request, Result>(stage: Stage<Request, Result>): Stage<Request, Result>;
}

const withReserve = (
  ports: CorePorts,
  change: (reservation: Reservation) => Reservation,
): CorePorts => ({
  ...ports,
  issueLedger: spread(ports.issueLedger, {
    reserve: (reservation) => ports.issueLedger.reserve(change(reservation)),
  }),
});

/** Ports may be proxies: nothing of theirs is copied. */
const spread = <T extends object>(target: T, changed: Partial<T>): T =>
  new Proxy(target, {
    get: (_target, name) => {
      const own: unknown = Reflect.get(changed, name);
      return own ?? Reflect.get(target, name);
    },
  });

const withBackends = (
  ports: CorePorts,
  change: (open: OpenBackend, type: CredentialBackend) => OpenBackend,
): CorePorts => ({
  ...ports,
  backendTypes: new Map(
    [...ports.backendTypes].map(([name, type]) => [
      name,
      { ...type, open: (config, host) => change(type.open(config, host), type) },
    ]),
  ),
});

const activateBeforeCommit: Defect = {
  name: "activate before the commit",
  spoil: (ports, { machine }) => ({
    ...ports,
    issueLedger: spread(ports.issueLedger, {
      activate: async (lease, activation) => {
        machine.clock
          .sleep(300)
          .then(() => ports.issueLedger.activate(lease, activation))
          .catch(() => undefined);
        return { kind: "active", lease: { id: lease.id, state: "active", version: -1 } };
      },
    }),
  }),
};

const noReservation: Defect = {
  name: "mint before the reservation",
  spoil: (ports, { upstreams }) => {
    const mint = ({ backendId, plan, issueBy }: LeaseIntent): void => {
      const { externalName: name, expiresAt } = plan;
      const request = {
        name,
        password: "too early",
        groups: ["read"],
        tag: "",
        expiresAt,
        issueBy,
      };
      upstreams.get(backendId)?.create(request);
    };
    const early = withReserve(ports, (reservation) => {
      for (const intent of reservation.leases) mint(intent);
      return reservation;
    });
    return withBackends(early, (open, type) => ({
      ...open,
      issue: (plan, context) => {
        const upstream = upstreams.get(type.type);
        const tooEarly = upstream?.find(plan.externalName) ?? null;
        if (tooEarly !== null) upstream?.forget(tooEarly.name);
        return open.issue(plan, context);
      },
    }));
  },
};

const scheduleWithoutSweep: Defect = {
  name: "schedule without sweep",
  spoil: (ports) => ({
    ...ports,
    sweepLedger: spread(ports.sweepLedger, {
      dueBackends: async () => [],
      endStrays: async () => 0,
    }),
  }),
};

const lyingProbe: Defect = {
  name: "a probe that lies",
  spoil: (ports) =>
    withBackends(ports, (open) =>
      open.revocation === "none"
        ? open
        : { ...open, probe: async () => ({ verdict: "refused", looked: {} }) },
    ),
};

const outlivingChild: Defect = {
  name: "a child that outlives its parent",
  spoil: (ports) =>
    withReserve(ports, (reservation) =>
      reservation.task.kind === "open"
        ? {
            ...reservation,
            task: { kind: "open", task: { ...reservation.task.task, parentId: null } },
          }
        : reservation,
    ),
};

const earlyRecover: Defect = {
  name: "recover before settleBy",
  spoil: (ports, { machine }) =>
    withReserve(ports, (reservation) => ({
      ...reservation,
      leases: reservation.leases.map((intent) => ({
        ...intent,
        settleBy: instantMs(machine.clock.now()),
      })),
    })),
};

const untoldFinds: Defect = {
  name: "a recovery that destroys before it tells what it found",
  spoil: (ports) =>
    withBackends(ports, (open) => ({
      ...open,
      recover: (plan, checkpoint, context) =>
        open.recover(plan, checkpoint, { ...context, found: async () => undefined }),
    })),
};

const ledgerFirst: Defect = {
  name: "an orphan sweep that reads the ledger first",
  spoil: (ports, { ledger }) => {
    let known = new Set<string>();
    const live = (): Set<string> =>
      new Set(
        ledger.inspect
          .leases()
          .filter(({ state }) => state !== "ended")
          .map(({ id }) => id),
      );
    return {
      ...ports,
      sweepLedger: spread(ports.sweepLedger, {
        now: async () => {
          known = live();
          return ports.sweepLedger.now();
        },
        adoptOrphans: async (_backendId, marked) => {
          const orphans = marked.map(({ mark }) => mark.leaseId).filter((id) => !known.has(id));
          for (const id of orphans) {
            const sweep = { kind: "system", name: "sweep" } as const;
            await ports.taskLedger.endLease(id, sweep, "resurfaced");
          }
          return { orphans, unverified: [] };
        },
      }),
    };
  },
};

const withSlots = (
  ports: CorePorts,
  change: (slots: BackendSlots) => Partial<BackendSlots>,
): CorePorts => ({
  ...ports,
  backendSlots: (id) => {
    const slots = ports.backendSlots(id);
    return spread(slots, change(slots));
  },
});

const noQuarantine: Defect = {
  name: "a slot that is used again before its quarantine is over",
  spoil: (ports) =>
    withSlots(ports, (slots) => ({
      take: (leaseId, wanted) =>
        slots.take(leaseId, { ...wanted, quarantineSeconds: durationSeconds(0) }),
    })),
};

const failedWhole = (): Error => new Error("the batch failed");

/** The committer is told that what one request broke is broken for all of its batch. */
const wholeBatchFails: Defect = {
  name: "a batch that fails whole",
  spoil: (ports) => ports,
  spoilStage: (stage) => ({
    ...stage,
    run: async (...call) => {
      try {
        return await stage.run(...call);
      } catch (error) {
        if (!(error instanceof LedgerFault) || !error.code.startsWith("22")) throw error;
        // Without its cause, by which the committer would know better.
        throw failedWhole();
      }
    },
  }),
};

/** Each must be found, or the simulator proves nothing. */
export const DEFECTS: readonly Defect[] = [
  activateBeforeCommit,
  noReservation,
  scheduleWithoutSweep,
  lyingProbe,
  outlivingChild,
  earlyRecover,
  untoldFinds,
  ledgerFirst,
  wholeBatchFails,
  noQuarantine,
];

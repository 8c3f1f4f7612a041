import { BrokerError } from "@mayfly/spec";

/** A call on any of the ledger's ports, by its name there. */
export type LedgerOperation = string;

/** What goes wrong between a caller and the ledger in memory. */
export interface MemoryLedgerFaults {
  /** Every call fails before it does anything, until `heal`. Idle time stands still meanwhile. */
  goDown(): void;
  heal(): void;
  /** The next `times` calls of `operation` fail before they do anything. */
  refuse(operation: LedgerOperation, times?: number): void;
  /** The next `times` calls of `operation` commit, and their callers are not told. */
  loseAcknowledgement(operation: LedgerOperation, times?: number): void;
}

export interface FaultGate extends MemoryLedgerFaults {
  /** Runs one transaction: at once, wholly or not at all. */
  run<T>(operation: LedgerOperation, transaction: () => T): Promise<T>;
  /** Milliseconds of outage since `sinceMs`. */
  downSince(sinceMs: number): number;
}

export function createFaultGate(nowMs: () => number): FaultGate {
  const refusals = new Map<LedgerOperation, number>();
  const losses = new Map<LedgerOperation, number>();
  const outages: { readonly fromMs: number; toMs: number | null }[] = [];
  const take = (counts: Map<LedgerOperation, number>, operation: LedgerOperation): boolean => {
    const left = counts.get(operation) ?? 0;
    if (left > 0) counts.set(operation, left - 1);
    return left > 0;
  };
  return {
    goDown: () => {
      if (outages.at(-1)?.toMs !== null) outages.push({ fromMs: nowMs(), toMs: null });
    },
    heal: () => {
      const outage = outages.at(-1);
      if (outage?.toMs === null) outage.toMs = nowMs();
    },
    refuse: (operation, times = 1) => {
      refusals.set(operation, times);
    },
    loseAcknowledgement: (operation, times = 1) => {
      losses.set(operation, times);
    },
    run: async (operation, transaction) => {
      // A ledger is never in the same tick: callers interleave as they would over a network.
      await Promise.resolve();
      if (outages.at(-1)?.toMs === null || take(refusals, operation)) throw unavailable(operation);
      const result = transaction();
      await Promise.resolve();
      if (take(losses, operation)) throw unavailable(operation);
      return result;
    },
    downSince: (sinceMs) =>
      outages.reduce((sum, { fromMs, toMs }) => {
        const overlap = (toMs ?? nowMs()) - Math.max(fromMs, sinceMs);
        return sum + Math.max(0, overlap);
      }, 0),
  };
}

const unavailable = (operation: LedgerOperation): BrokerError =>
  new BrokerError("ledger_unavailable", `ledger: ${operation} could not be done`, {
    retryAfterSeconds: 1,
  });

import {
  BrokerError,
  type BackendId,
  type BackendSlots,
  type BackendSlotStores,
  type Clock,
  type InstantMs,
  type LeaseId,
  type SlotsWanted,
} from "@mayfly/spec";
import type { MemoryLedger } from "@mayfly/testkit";

/** Ports of the ledger whose calls are recorded as they are. */
const LEDGER_PORTS = ["issue", "tasks", "sweep", "selectorEnds", "catalog"] as const;
type LedgerPort = (typeof LEDGER_PORTS)[number];
/** `slots`: those of all backends, {@link SlotsPort}. */
export type RecordedPort = LedgerPort | "slots";

/** The slots of all backends as one port: each call says of which. */
export interface SlotsPort {
  take(
    backendId: BackendId,
    leaseId: LeaseId,
    wanted: SlotsWanted,
  ): ReturnType<BackendSlots["take"]>;
  find(backendId: BackendId, leaseId: LeaseId): ReturnType<BackendSlots["find"]>;
  last(backendId: BackendId, slot: string): ReturnType<BackendSlots["last"]>;
}

export const slotsPort = (stores: BackendSlotStores): SlotsPort => ({
  take: (backendId, leaseId, wanted) => stores.of(backendId).take(leaseId, wanted),
  find: (backendId, leaseId) => stores.of(backendId).find(leaseId),
  last: (backendId, slot) => stores.of(backendId).last(slot),
});

/** What one call of the ledger came to: a refusal is its code alone. */
export type OperationOutcome =
  | { readonly kind: "returned"; readonly value: unknown }
  | { readonly kind: "refused"; readonly code: string };

export interface RecordedOperation {
  readonly port: RecordedPort;
  readonly method: string;
  readonly args: readonly unknown[];
  /** By the ledger's clock. */
  readonly at: InstantMs;
  /** Null while it is under way, and for what failed because the ledger was away. */
  outcome: OperationOutcome | null;
}

type Call = (...args: readonly unknown[]) => Promise<unknown>;

/** The ledger, with its calls written down in the order in which they take effect. */
export function recordOperations(
  ledger: MemoryLedger,
  clock: Clock,
  into: RecordedOperation[],
): MemoryLedger {
  const record = <Port extends object>(name: RecordedPort, port: Port): Port =>
    recordPort(name, port, clock, into);
  const recorded = Object.fromEntries(
    LEDGER_PORTS.map((port) => [port, record(port, ledger[port])]),
  ) as Pick<MemoryLedger, LedgerPort>;
  const slots = record("slots", slotsPort(ledger.backendSlots));
  const backendSlots: BackendSlotStores = {
    of: (id) => ({
      take: (leaseId, wanted) => slots.take(id, leaseId, wanted),
      find: (leaseId) => slots.find(id, leaseId),
      last: (slot) => slots.last(id, slot),
    }),
  };
  return { ...ledger, ...recorded, backendSlots };
}

function recordPort<Port extends object>(
  port: RecordedPort,
  target: Port,
  clock: Clock,
  into: RecordedOperation[],
): Port {
  const wrapped = Object.entries(target).map(([method, member]: [string, unknown]) => {
    const call = member as Call;
    const recordedCall = async (...args: readonly unknown[]): Promise<unknown> => {
      const operation: RecordedOperation = { port, method, args, at: clock.now(), outcome: null };
      into.push(operation);
      try {
        const value = await call(...args);
        operation.outcome = { kind: "returned", value };
        return value;
      } catch (error) {
        if (BrokerError.is(error) && error.code !== "ledger_unavailable") {
          operation.outcome = { kind: "refused", code: error.code };
        }
        throw error;
      }
    };
    return [method, recordedCall];
  });
  // Each member is a function of the same name, arguments and results.
  const calls: unknown = Object.fromEntries(wrapped);
  return calls as Port;
}

import { BrokerError, type Clock, type InstantMs } from "@mayfly/spec";
import type { MemoryLedger } from "@mayfly/testkit";

/** Ports whose calls are recorded. */
export const RECORDED_PORTS = ["issue", "tasks", "sweep", "selectorEnds", "catalog"] as const;
export type RecordedPort = (typeof RECORDED_PORTS)[number];

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
  const recorded = Object.fromEntries(
    RECORDED_PORTS.map((port) => [port, recordPort(port, ledger[port], clock, into)]),
  ) as Pick<MemoryLedger, RecordedPort>;
  return { ...ledger, ...recorded };
}

function recordPort<Port extends RecordedPort>(
  port: Port,
  target: MemoryLedger[Port],
  clock: Clock,
  into: RecordedOperation[],
): MemoryLedger[Port] {
  const wrapped = Object.entries(target).map(([method, member]) => {
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
  return calls as MemoryLedger[Port];
}

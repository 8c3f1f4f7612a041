import { checkSchemaOf, checkSweepOf, type CheckedLedger } from "@mayfly/core";
import type { AlarmListener } from "@mayfly/spec";
import type { LoopWatch } from "./loops/loop-watch.ts";

export interface WorkerHealthPorts {
  readonly ledger: CheckedLedger;
  readonly listener: Pick<AlarmListener, "hears">;
  readonly watch: LoopWatch;
  readonly sweepIntervalSeconds: number;
  isStopping(): boolean;
}

export interface WorkerCheck {
  readonly name: string;
  readonly ok: boolean;
}

/**
 * A worker lives while each of its loops turns, whatever the loops' work comes to: a ledger that is
 * away is no reason to restart it. It is ready when ledger and queue answer and the ledger's rows
 * were swept in time, by it or by another.
 */
export function createWorkerHealth(ports: WorkerHealthPorts): {
  alive(): readonly WorkerCheck[];
  ready(): Promise<readonly WorkerCheck[]>;
} {
  const { ledger, listener, watch } = ports;
  return {
    alive: () => watch.loops(),
    ready: async () => {
      const isStopping = ports.isStopping();
      const [schema, sweep, hears] = await Promise.all([
        checkSchemaOf(ledger),
        checkSweepOf(ledger, ports.sweepIntervalSeconds),
        listener.hears(),
      ]);
      return [{ name: "process", ok: !isStopping }, ...schema, { name: "queue", ok: hears }, sweep];
    },
  };
}

import {
  SERVICE_NODE_OPTIONS,
  startBenchInstallation,
  type BenchInstallation,
  type BenchInstallationOptions,
} from "./bench-installation.ts";
import type { BenchWorld } from "./bench-world.ts";
import { openCpuProfile } from "./cpu-profile.ts";
import { beginStatements, COUNTS_STATEMENTS, topStatements } from "./statements-profile.ts";
import { warmUp } from "./warm-up.ts";

const FUNCTIONS = 12;
const OF_THE_WORKER = 4;
const STATEMENTS = 8;

/**
 * One round more, for who reads of a target that was missed: where the time of the broker, of the
 * worker and of PostgreSQL went.
 */
export async function brokersProfile(
  world: BenchWorld,
  options: BenchInstallationOptions,
  load: (mayfly: BenchInstallation) => Promise<unknown>,
): Promise<readonly string[]> {
  await using broker = await openCpuProfile();
  await using worker = await openCpuProfile();
  const counting: BenchWorld = {
    ...world,
    startPostgres: (settings = {}) => world.startPostgres({ ...settings, ...COUNTS_STATEMENTS }),
  };
  await using mayfly = await startBenchInstallation(counting, {
    ...options,
    broker: broker.environment(SERVICE_NODE_OPTIONS),
    worker: worker.environment(SERVICE_NODE_OPTIONS),
  });
  await warmUp(mayfly);
  await beginStatements(mayfly.ledger);
  for (const profile of [broker, worker]) profile.begin();
  await load(mayfly);
  for (const profile of [broker, worker]) profile.end();
  const statements = await topStatements(mayfly.ledger, STATEMENTS);
  await mayfly.broker.stop();
  await mayfly.worker.stop();
  return [
    ...(await broker.top(FUNCTIONS)).map((line) => `the broker's main thread: ${line}`),
    ...(await worker.top(OF_THE_WORKER)).map((line) => `the worker's main thread: ${line}`),
    ...statements.map((line) => `PostgreSQL: ${line}`),
  ];
}

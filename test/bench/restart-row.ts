import { createBrokerApi } from "../harness/broker-api.ts";
import { SOURCES, startService } from "../harness/service-process.ts";
import { BACKEND } from "../harness/registration.ts";
import { pause, until } from "../harness/until.ts";
import {
  BENCH_ROLE,
  startBenchInstallation,
  type BenchInstallation,
} from "./bench-installation.ts";
import type { BenchRow, RowResult } from "./bench-row.ts";
import type { BenchWorld } from "./bench-world.ts";
import { interleave, median } from "./interleave.ts";
import { residentKbOf } from "./process-use.ts";
import { MAKE_PARTITION, seedLeases } from "./seed-leases.ts";

const MANY = 1_000_000;
const FEW = 1_000;
/** For a quick look with `--seconds 1`, which meets no target. */
const LEASES_PER_SECOND_ASKED = 100_000;
const KB_PER_LEASE_MAX = 0.3;
const STARTED_MS_MAX = 120_000;
/** After the first exchange, so that the first sweep and listing are in it. */
const SETTLED_MS = 3_000;

export const RESTART: BenchRow = {
  name: "restart",
  title: "start of broker and worker to the first exchange, with 10⁶ live leases against 10³",
  target: { ratio: 1.2, is: "at_most" },
  run: restart,
};

async function restart(world: BenchWorld): Promise<RowResult> {
  const leases = Math.min(MANY, world.seconds * LEASES_PER_SECOND_ASKED);
  await using many = await stoppedWith(world, leases);
  await using few = await stoppedWith(world, FEW);
  const measured = await interleave(
    world.rounds,
    (round) => startOnce(many, round),
    (round) => startOnce(few, round),
    (ours, theirs) => ours.seconds / theirs.seconds,
  );
  const more =
    median(measured.ours.map(({ kb }) => kb)) - median(measured.theirs.map(({ kb }) => kb));
  const kbPerLease = more / (leases - FEW);
  const secondsOf = (runs: readonly Started[]): string =>
    median(runs.map(({ seconds }) => seconds)).toFixed(2);
  return {
    ratio: measured.ratio,
    spread: measured.spread,
    facts: [
      `${secondsOf(measured.ours)} s with ${leases} live leases, ${secondsOf(measured.theirs)} s ` +
        `with ${FEW}; the first exchange mints a role`,
      `${kbPerLease.toFixed(4)} kB of broker and worker for each live lease more`,
      "the leases are rows made by SQL: the customer's server has no roles of them, so the first " +
        "listing finds nothing to look up",
    ],
    broken: [
      ...(kbPerLease <= KB_PER_LEASE_MAX
        ? []
        : [`${kbPerLease.toFixed(2)} kB for each lease, wanted ≤ ${KB_PER_LEASE_MAX}`]),
      ...(leases < MANY ? [`only ${leases} leases`] : []),
    ],
  };
}

/** An installation that was set up, and whose processes were then killed. */
async function stoppedWith(world: BenchWorld, leases: number): Promise<BenchInstallation> {
  await using started = new AsyncDisposableStack();
  const mayfly = started.use(
    await startBenchInstallation(world, { backend: { scram_iterations: 1 } }),
  );
  await mayfly.broker.kill();
  await mayfly.worker.kill();
  await mayfly.ledger.unsafe(MAKE_PARTITION).simple();
  await seedLeases(mayfly.ledger, {
    leases,
    live: leases,
    months: 0.01,
    backends: [BACKEND],
    workloads: Math.max(1, leases / 10),
  });
  world.say(`${leases} live leases`);
  started.move();
  return mayfly;
}

interface Started {
  readonly seconds: number;
  /** Resident memory of both processes. */
  readonly kb: number;
}

async function startOnce(mayfly: BenchInstallation, round: number): Promise<Started> {
  const fromMs = performance.now();
  await using started = new AsyncDisposableStack();
  const [worker, broker] = await Promise.all(
    (["worker", "broker"] as const).map(async (name) => {
      const service = await startService(name, mayfly.environment(name), SOURCES);
      started.defer(() => service.kill());
      return service;
    }),
  );
  if (worker === undefined || broker === undefined) throw new Error("unreachable");
  const { port } = JSON.parse(await broker.line("broker listens")) as { readonly port: number };
  const api = createBrokerApi(`http://127.0.0.1:${port}`, "");
  const { trust } = mayfly;
  await until("the first exchange", STARTED_MS_MAX, async () => {
    const subject = trust.token({
      claims: { sub: `spiffe://${trust.trustDomain}/agent/restart-${round}` },
    });
    const credentials = [{ role: BENCH_ROLE, ttl: 600 }];
    const details = { type: "mayfly-task", goal: "Start", deadline: 600, credentials };
    const reply = await api.exchange({ subject, details });
    if (reply.status === 200) return true;
    if (reply.status === 503) return false;
    throw new Error(`the first exchange: ${reply.status} ${reply.text}`);
  });
  const seconds = (performance.now() - fromMs) / 1000;
  await pause(SETTLED_MS);
  const kb = (await residentKbOf(worker.pid)) + (await residentKbOf(broker.pid));
  return { seconds, kb };
}

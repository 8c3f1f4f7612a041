import { setTimeout as sleep } from "node:timers/promises";
import type { Draw } from "../simulation/draw.ts";
import type { Environment, ServiceProcess } from "../harness/index.ts";
import { drawBlow, type Blow, type Victim } from "./blows.ts";
import type { Stage } from "./stage.ts";

/** A step that is not reached by then: the process is killed where it is. */
const UNREACHED_MS = 15_000;
/** What is to be recovered is due only after its `settle_by`. */
const RECOVER_UNREACHED_MS = 40_000;
const FROZEN_MS_MAX = 4_000;
/** Of processes that are killed wherever they are. */
const AT_RANDOM = 0.04;
const LOOK_MS = 20;

/** One place for a process: whoever dies there is followed by a new one, with its own blow. */
export async function keep(stage: Stage, victim: "broker" | "worker", draw: Draw): Promise<void> {
  while (!stage.isOver) {
    const blow = drawBlow(victim, (point) => stage.score.killsAt(victim, point), draw);
    const own: Environment = { MAYFLY_UNSAFE_FAIL_POINT: blow.setting };
    // A start may find the ledger away: then it ends by itself, and the next one is tried.
    const started = await start(stage, victim, blow, own).catch(() => null);
    if (started === null) await sleep(200);
    else if (draw.chance(AT_RANDOM)) await killAtRandom(stage, started, draw);
    else await strike(stage, victim, started, blow, draw);
  }
}

async function start(
  { mayfly, brokers }: Stage,
  victim: "broker" | "worker",
  blow: Blow,
  own: Environment,
): Promise<ServiceProcess> {
  if (victim === "worker") return mayfly.startWorkerAtOnce(own);
  const broker = await mayfly.startBroker(own);
  brokers.set(broker.api.url, blow.kill.family);
  broker.exited.then(
    () => brokers.delete(broker.api.url),
    () => undefined,
  );
  return broker;
}

async function killAtRandom(stage: Stage, process: ServiceProcess, draw: Draw): Promise<void> {
  await sleep(draw.between(50, 3_000));
  if (!process.hasEnded()) await process.kill();
  stage.score.killedAtRandom();
}

/**
 * Waits until the process has been struck as its settings say, and thaws it in between. What does
 * not come to its step is killed where it is.
 */
export async function strike(
  stage: Stage,
  victim: Victim,
  process: ServiceProcess,
  blow: Blow,
  draw: Draw,
): Promise<void> {
  const { score } = stage;
  const patience = blow.kill.point.startsWith("recover.") ? RECOVER_UNREACHED_MS : UNREACHED_MS;
  const giveUp = performance.now() + patience;
  let stop = blow.stop;
  while (!process.hasEnded() && performance.now() < giveUp && !stage.isOver) {
    await sleep(LOOK_MS);
    if (stop === null || !(await process.isFrozen())) continue;
    score.stopped(victim, stop.point);
    stop = null;
    await sleep(draw.between(100, FROZEN_MS_MAX));
    process.thaw();
  }
  if (!process.hasEnded()) {
    await process.kill();
    score.killedAtRandom();
    return;
  }
  const { signal } = await process.exited;
  if (signal === "SIGKILL") score.killed(victim, blow.kill.point);
}

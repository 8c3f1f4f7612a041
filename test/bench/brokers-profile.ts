import {
  startBenchInstallation,
  type BenchInstallation,
  type BenchInstallationOptions,
} from "./bench-installation.ts";
import type { BenchWorld } from "./bench-world.ts";
import { openCpuProfile } from "./cpu-profile.ts";

const FUNCTIONS = 12;

/** One round more, for who reads of a target that was missed: where the broker's time went. */
export async function brokersProfile(
  world: BenchWorld,
  options: BenchInstallationOptions,
  load: (mayfly: BenchInstallation) => Promise<unknown>,
): Promise<readonly string[]> {
  await using profile = await openCpuProfile();
  const broker = profile.environment;
  await using mayfly = await startBenchInstallation(world, { ...options, broker });
  profile.begin();
  await load(mayfly);
  profile.end();
  await mayfly.broker.stop();
  return (await profile.top(FUNCTIONS)).map((line) => `the broker's main thread: ${line}`);
}

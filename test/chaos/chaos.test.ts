import { expect, test } from "vitest";
import { runChaos } from "./run-chaos.ts";

const KILLS = 20;
const LONG_MS = 400_000;

test(
  "nothing leaks while processes are killed between their steps",
  { timeout: LONG_MS },
  async () => {
    const seed = new Date().toISOString();
    const result = await runChaos({ kills: KILLS, seed, say: () => undefined });
    expect(result.leaks, `seed ${seed}`).toEqual([]);
    expect(result.kills).toBeGreaterThanOrEqual(KILLS);
    expect(result.byStep.size).toBeGreaterThan(5);
    expect(result.leases).toBeGreaterThan(KILLS / 2);
  },
);

import { expect, test } from "vitest";
import type { Finding } from "./stage.ts";
import { runChaos } from "./run-chaos.ts";
import { summaryOf } from "./summary.ts";

const KILLS = 20;
const LONG_MS = 600_000;

test(
  "nothing leaks while processes are killed between their steps",
  { timeout: LONG_MS },
  async () => {
    const seed = new Date().toISOString();
    const result = await runChaos({ kills: KILLS, seed, say: () => undefined });
    expect(result.findings, `seed ${seed}`).toEqual([]);
    expect(result.kills).toBeGreaterThanOrEqual(KILLS);
    expect([...result.byStep.values()].reduce((sum, count) => sum + count)).toBe(result.kills);
    expect(result.byStep.size).toBeGreaterThan(5);
    expect([...result.byStep.keys()].some((step) => step.startsWith("migrator"))).toBe(true);
    expect(result.misfortunes.size).toBeGreaterThan(0);
    expect(result.done.get("leases")).toBeGreaterThan(KILLS / 2);
    expect(result.done.get("tenancies")).toBeGreaterThan(0);
  },
);

test("what was found is counted by its kind", () => {
  const finding = (kind: Finding["kind"]): Finding => ({ kind, words: kind });
  const findings = [
    finding("orphan"),
    finding("live_expired"),
    finding("live_expired"),
    finding("double_mint"),
    finding("struck_tenant"),
    finding("log"),
    finding("migration"),
  ];
  expect(summaryOf({ kills: 3, findings })).toEqual({
    kills: 3,
    orphans: 1,
    live_expired: 2,
    double_mints: 1,
  });
});

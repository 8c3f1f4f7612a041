import { describe, expect, it } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { openProgress, SILENT_MS_MAX } from "./progress.ts";

function opened() {
  const clock = createFakeClock();
  const lines: string[] = [];
  const progress = openProgress({ clock, write: (line) => lines.push(line) });
  return { clock, progress, lines };
}

describe("the progress of a benchmark", () => {
  it("says with each line how long the run has taken, and at its end how long a row took", async () => {
    const { clock, progress, lines } = opened();
    progress.begin("policy", "one decision");
    await clock.advance(5_000);
    progress.say("round 1");
    await clock.advance(20_000);
    progress.begin("schedule", "an end");
    await clock.advance(1_000);
    await progress[Symbol.asyncDispose]();
    expect(lines).toEqual([
      "  0:00 … policy: one decision",
      "  0:05 … round 1",
      "  0:25 … policy took 0:25",
      "  0:25 … schedule: an end",
      "  0:26 … schedule took 0:01",
    ]);
  });

  it("says that it is at work when nothing else was said for a while, and not before", async () => {
    const { clock, progress, lines } = opened();
    progress.begin("ledger-scale", "a ledger");
    await clock.advance(SILENT_MS_MAX - 1);
    progress.say("1000 rows made");
    await clock.advance(SILENT_MS_MAX - 1);
    expect(lines).toHaveLength(2);
    await clock.advance(1 + SILENT_MS_MAX);
    expect(lines.slice(2)).toEqual([
      "  0:59 … at work, 0:59 in this row",
      "  1:29 … at work, 1:29 in this row",
    ]);
    await progress[Symbol.asyncDispose]();
    await clock.advance(SILENT_MS_MAX * 2);
    expect(lines).toHaveLength(5);
  });
});

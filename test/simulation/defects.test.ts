import { describe, expect, test } from "vitest";
import { DEFECTS } from "./defects.ts";
import { runHistory, type History } from "./run-history.ts";
import { shrink } from "./shrink.ts";

const HISTORIES_UNTIL_FOUND = 400;
const LONG_MS = 600_000;

describe("a defect made on purpose", () => {
  test.each(DEFECTS)("$name, is found and made small", { timeout: LONG_MS }, async (defect) => {
    let failed: History | null = null;
    for (let index = 0; failed === null && index < HISTORIES_UNTIL_FOUND; index++) {
      const history = await runHistory({ seed: `${defect.name}/${index}`, defect });
      if (history.violations.length > 0) failed = history;
    }
    if (failed === null) return expect.fail(`not in ${HISTORIES_UNTIL_FOUND} histories`);
    const smallest = await shrink(failed, defect);
    expect(smallest.violations.length).toBeGreaterThan(0);
    expect(smallest.agents).toBeLessThanOrEqual(failed.agents);
  });
});

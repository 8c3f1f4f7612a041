import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startInstallation } from "../harness/index.ts";
import { fuzzInProcess, fuzzOverSockets } from "./fuzz-all.ts";
import { readyRequest, type FuzzRequest } from "./fuzz-request.ts";
import { createJudge } from "./judge-answer.ts";
import { createRealBroker } from "./real-broker.ts";
import type { FuzzRun } from "./run-fuzz.ts";
import { UNPACED } from "./unpaced.ts";

/** Of each run of the suite, on a machine that is quick enough; `npm run fuzz` sends 100,000. */
const IN_PROCESS = 24_000;
const OVER_SOCKETS = 8_000;
const WITHIN_MS = 40_000;
/** Fewer than that say nothing, however slow the machine is. */
const SENT_MIN = 300;
const LONG_MS = 400_000;

const seed = new Date().toISOString();
const options = {
  inProcess: IN_PROCESS,
  overSockets: OVER_SOCKETS,
  withinMs: WITHIN_MS,
  seed,
};

interface Regression {
  readonly found: string;
  readonly request: FuzzRequest;
}
const regressions: readonly Regression[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "regressions.json"), "utf8"),
) as readonly Regression[];

/** What is wrong with a run, and whether it reached anything at all. */
function summaryOf({ found, minted, requests, outcomes, statuses }: FuzzRun) {
  return {
    found,
    minted,
    isEnough: requests > SENT_MIN,
    // Not all of it was turned away at the door.
    hasSuccesses: (statuses.get("200") ?? 0) > 0,
    reached: [...outcomes.keys()].filter((one) => BEHIND_THE_DOOR.includes(one)).toSorted(),
  };
}
const BEHIND_THE_DOOR = ["POST /token invalid_identity", "POST /token invalid_task"];
const SOUND = {
  found: [],
  minted: 0,
  isEnough: true,
  hasSuccesses: true,
  reached: BEHIND_THE_DOOR,
};

describe("whatever is sent to the broker", { retry: 0 }, () => {
  test(
    "in process is refused by a known code, and nothing is minted, registered or ended",
    { timeout: LONG_MS },
    async () => {
      expect(summaryOf(await fuzzInProcess(options)), `seed ${seed}`).toEqual(SOUND);
    },
  );

  test(
    "over sockets, with a real ledger, neither: and a sound exchange works afterwards",
    { timeout: LONG_MS },
    async () => {
      await using mayfly = await startInstallation({ settings: UNPACED });
      const run = await fuzzOverSockets(mayfly, options);
      expect(summaryOf(run), `seed ${seed}`).toEqual(SOUND);
    },
  );

  test("finds nothing any more where it once did", async () => {
    await using mayfly = await startInstallation({ settings: UNPACED });
    const broker = await mayfly.startBroker();
    await mayfly.register(broker);
    await mayfly.startWorker();
    await using target = await createRealBroker(mayfly, broker, "strangers");
    const judge = createJudge(target);
    for (const { request, found } of regressions) {
      const answer = await target.send(readyRequest(request, target.places));
      expect(judge(request, answer).problem, found).toBeNull();
    }
    expect(await target.look()).toEqual([]);
  });
});

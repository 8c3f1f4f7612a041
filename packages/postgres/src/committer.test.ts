import { describe, expect, test, vi } from "vitest";
import { systemClock, systemRandom } from "@mayfly/host";
import { BrokerError } from "@mayfly/spec";
import { createCommitter, type BatchResult, type Stage } from "./committer.ts";
import { LedgerFault } from "./faults.ts";

const ports = { clock: systemClock, random: systemRandom, callMs: 5_000 };

/** A stage that notes its batches and answers when it is let go. */
function recordingStage(
  answer: (request: string, mode: "batch" | "alone") => BatchResult<string> | Error = (
    request,
  ) => ({
    kind: "done",
    result: request.toUpperCase(),
  }),
) {
  const batches: string[][] = [];
  let running = 0;
  let mostRunning = 0;
  const gates: (() => void)[] = [];
  let open = true;
  const stage: Stage<string, string> = {
    name: "tests",
    keys: (request) => (request.startsWith("k") ? [request.slice(0, 2)] : []),
    run: async (requests, mode) => {
      batches.push([...requests]);
      if (mode === "batch") mostRunning = Math.max(mostRunning, ++running);
      if (!open) await new Promise<void>((resolve) => gates.push(resolve));
      if (mode === "batch") running--;
      const answers = requests.map((request) => answer(request, mode));
      return answers.map((each) => {
        if (each instanceof Error) throw each;
        return each;
      });
    },
  };
  return {
    stage,
    batches,
    mostRunning: () => mostRunning,
    hold: () => {
      open = false;
    },
    letGo: () => {
      open = true;
      for (const gate of gates.splice(0)) gate();
    },
  };
}

const fault = (code: string): LedgerFault => new LedgerFault(code, "seeded", null);
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "fulfilled",
    (error: unknown) => (BrokerError.is(error) ? error.code : error),
  );

describe("group commit", () => {
  test("a lone request goes at once, and those of one turn go together", async () => {
    const { stage, batches } = recordingStage();
    const committer = createCommitter(ports, stage);
    expect(await Promise.all(["a", "b", "c"].map((each) => committer.submit(each)))).toEqual([
      "A",
      "B",
      "C",
    ]);
    expect(await committer.submit("d")).toBe("D");
    expect(batches).toEqual([["a", "b", "c"], ["d"]]);
  });

  test("what arrives while a batch is in flight is the next one, in order and of bounded size", async () => {
    const { stage, batches, hold, letGo, mostRunning } = recordingStage();
    const committer = createCommitter(ports, stage, { batchMax: 3, queueMax: 100, aloneMax: 1 });
    hold();
    const first = committer.submit("a");
    await systemClock.sleep(1);
    const later = ["b", "c", "d", "e", "f"].map((each) => committer.submit(each));
    await systemClock.sleep(1);
    expect(batches).toEqual([["a"]]);
    letGo();
    await Promise.all([first, ...later]);
    expect(batches).toEqual([["a"], ["b", "c", "d"], ["e", "f"]]);
    expect(mostRunning()).toBe(1);
  });

  test("beside a batch in flight another one begins when a whole one waits, and a part of one waits", async () => {
    const { stage, batches, hold, letGo, mostRunning } = recordingStage();
    const limits = { batchMax: 4, queueMax: 100, aloneMax: 1, besidesMax: 1 };
    const size = (request: string): number => request.length;
    const committer = createCommitter(ports, { ...stage, size }, limits);
    hold();
    const submitted = [committer.submit("a")];
    await systemClock.turn();
    submitted.push(...["bb", "c"].map((each) => committer.submit(each)));
    await systemClock.turn();
    expect(batches).toEqual([["a"]]);
    submitted.push(committer.submit("dd"));
    await systemClock.turn();
    // What is larger than a batch is one by itself, and what is in flight has no third beside it.
    submitted.push(...["eeeee", "f"].map((each) => committer.submit(each)));
    await systemClock.turn();
    expect(batches).toEqual([["a"], ["bb", "c"]]);
    letGo();
    await Promise.all(submitted);
    expect(batches).toEqual([["a"], ["bb", "c"], ["dd"], ["eeeee"], ["f"]]);
    expect(mostRunning()).toBe(2);
  });

  test("a full queue answers busy and takes nothing", async () => {
    const { stage, hold, letGo, batches } = recordingStage();
    const committer = createCommitter(ports, stage, { batchMax: 1, queueMax: 2, aloneMax: 1 });
    hold();
    const accepted = ["a"].map((each) => committer.submit(each));
    await vi.waitUntil(() => batches.length === 1, { timeout: 15_000 });
    accepted.push(committer.submit("b"), committer.submit("c"));
    expect(await codeOf(committer.submit("d"))).toBe("busy");
    letGo();
    expect(await Promise.all(accepted)).toEqual(["A", "B", "C"]);
    expect(batches.flat()).not.toContain("d");
  });

  test("a lane that is full takes nobody else's place", async () => {
    const { stage, hold, letGo, batches } = recordingStage();
    const committer = createCommitter(
      ports,
      { ...stage, lane: (request) => request.slice(0, 1) },
      { batchMax: 4, queueMax: 2, aloneMax: 1 },
    );
    hold();
    const accepted = [committer.submit("a1")];
    await vi.waitUntil(() => batches.length === 1, { timeout: 15_000 });
    accepted.push(committer.submit("a2"), committer.submit("a3"));
    expect(await codeOf(committer.submit("a4"))).toBe("busy");
    accepted.push(committer.submit("b1"));
    letGo();
    expect(await Promise.all(accepted)).toEqual(["A1", "A2", "A3", "B1"]);
  });

  test("requests with one key never meet in a batch", async () => {
    const { stage, batches } = recordingStage();
    const committer = createCommitter(ports, stage);
    await Promise.all(["k1a", "x", "k1b", "k2a", "k1c"].map((each) => committer.submit(each)));
    expect(batches).toEqual([["k1a", "x", "k2a"], ["k1b"], ["k1c"]]);
  });

  test("a batch that hangs holds up nobody of another lane", async () => {
    const { stage, batches, hold, letGo } = recordingStage();
    const committer = createCommitter(ports, { ...stage, lane: (request) => request.slice(0, 1) });
    hold();
    const hung = [committer.submit("a1")];
    await vi.waitUntil(() => batches.length === 1, { timeout: 15_000 });
    hung.push(committer.submit("a2"));
    const other = committer.submit("b1");
    await vi.waitUntil(() => batches.length === 2, { timeout: 15_000 });
    expect(batches).toEqual([["a1"], ["b1"]]);
    letGo();
    expect(await Promise.all([...hung, other])).toEqual(["A1", "A2", "B1"]);
    expect(batches).toEqual([["a1"], ["b1"], ["a2"]]);
  });

  test("a batch has room for each lane before it has more for one", async () => {
    const { stage, batches, hold, letGo } = recordingStage();
    const committer = createCommitter(
      ports,
      { ...stage, lane: (request) => request.slice(0, 1) },
      { batchMax: 4, queueMax: 100, aloneMax: 1, batchesMax: 1 },
    );
    hold();
    const first = committer.submit("c1");
    await vi.waitUntil(() => batches.length === 1, { timeout: 15_000 });
    const crowd = ["a1", "a2", "a3", "a4", "a5", "b1"].map((each) => committer.submit(each));
    letGo();
    await Promise.all([first, ...crowd]);
    expect(batches).toEqual([["c1"], ["a1", "b1", "a2", "a3"], ["a4", "a5"]]);
  });

  test("a bad value fails its own request alone", async () => {
    const { stage } = recordingStage((request) =>
      request === "bad" ? fault("22P05") : { kind: "done", result: request },
    );
    const committer = createCommitter(ports, stage);
    const all = ["a", "b", "bad", "c", "d", "e", "f"];
    const outcomes = await Promise.all(all.map((each) => codeOf(committer.submit(each))));
    expect(outcomes).toEqual(all.map((each) => (each === "bad" ? "invalid_input" : "fulfilled")));
  });

  test("who has to wait for a lock waits alone", async () => {
    let locked = 0;
    const { stage, batches } = recordingStage((request, mode) => {
      if (request === "held" && mode === "batch") {
        locked++;
        return { kind: "alone" };
      }
      return { kind: "done", result: request };
    });
    const committer = createCommitter(ports, stage);
    const results = await Promise.all(["a", "held", "b"].map((each) => committer.submit(each)));
    expect(results).toEqual(["a", "held", "b"]);
    expect(locked).toBe(1);
    expect(batches).toEqual([["a", "held", "b"], ["held"]]);
  });

  test("of a batch that waited for a key, those without one go on together", async () => {
    const { stage, batches } = recordingStage((request, mode) =>
      request.startsWith("k") && mode === "batch"
        ? fault("55P03")
        : { kind: "done", result: request },
    );
    const committer = createCommitter(ports, stage);
    await Promise.all(["a", "k1", "b", "c"].map((each) => committer.submit(each)));
    expect(batches).toContainEqual(["a", "b", "c"]);
    expect(batches).toContainEqual(["k1"]);
    expect(batches).toHaveLength(3);
  });

  test("a serialisation conflict is tried again, and at last told as unavailable", async () => {
    let tries = 0;
    const passing = recordingStage((request) =>
      ++tries < 4 ? fault("40001") : { kind: "done", result: request },
    );
    expect(await createCommitter(ports, passing.stage).submit("a")).toBe("a");
    const failing = recordingStage(() => fault("40P01"));
    expect(await codeOf(createCommitter(ports, failing.stage).submit("a"))).toBe(
      "ledger_unavailable",
    );
    expect(failing.batches.length).toBeLessThan(10);
  });

  test("a lost connection fails the whole batch, once", async () => {
    const { stage, batches } = recordingStage(() => fault("CONNECTION_CLOSED"));
    const committer = createCommitter(ports, stage);
    const outcomes = await Promise.all(["a", "b"].map((each) => codeOf(committer.submit(each))));
    expect(outcomes).toEqual(["ledger_unavailable", "ledger_unavailable"]);
    expect(batches).toHaveLength(1);
  });

  test("idle waits for all that was submitted", async () => {
    const { stage, hold, letGo } = recordingStage();
    const committer = createCommitter(ports, stage);
    hold();
    let done = 0;
    const all = ["a", "b", "c"].map((each) => committer.submit(each).then(() => done++));
    const idle = committer.idle();
    letGo();
    await idle;
    expect(done).toBe(3);
    await Promise.all(all);
  });
});

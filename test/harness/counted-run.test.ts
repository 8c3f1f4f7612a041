import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { countedRun, type CountedEnd, type CountedRun } from "./counted-run.ts";

const COMMAND = {
  name: "chaos",
  counted: "kills",
  byDefault: 1_000,
  flags: ["strikes"],
  about: "Kills.",
};
const DONE: CountedEnd = { failed: false, report: ["7 kills"], summary: [{ kills: 7 }] };

/** What a command line wrote and how it ended. */
async function called(
  args: readonly string[],
  run: (asked: CountedRun, signals: EventEmitter) => Promise<CountedEnd> = async () => DONE,
) {
  const signals = new EventEmitter();
  let [stdout, stderr] = ["", ""];
  const code = await countedRun(COMMAND, (asked) => run(asked, signals), {
    args,
    out: (text) => (stdout += text),
    err: (text) => (stderr += text),
    signals,
  });
  const listening = signals.listenerCount("SIGINT") + signals.listenerCount("SIGTERM");
  return { code, stdout, stderr, listening };
}

test("a run that came to its end reports on standard output, with its JSON last", async () => {
  expect(await called(["--json"])).toEqual({
    code: 0,
    stdout: '7 kills\n{"kills":7}\n',
    stderr: "",
    listening: 0,
  });
  expect((await called([])).stdout).toBe("7 kills\n");
});

test("a run that found something ends with 1, and its JSON says what", async () => {
  const found = { failed: true, report: ["FOUND: a leak"], summary: [{ leaks: 1 }] };
  const { code, stdout } = await called(["--json"], async () => found);
  expect({ code, stdout }).toEqual({ code: 1, stdout: 'FOUND: a leak\n{"leaks":1}\n' });
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("a run that %s stopped ends with %i and has no JSON", async (signal, code) => {
  const stopped = await called(["--json"], async ({ stop }, signals) => {
    expect(stop.aborted).toBe(false);
    signals.emit(signal);
    expect(stop.aborted).toBe(true);
    return DONE;
  });
  expect(stopped).toEqual({
    code,
    stdout: "",
    stderr: `chaos: stopped by ${signal} before its end; until then:\n7 kills\n`,
    listening: 0,
  });
});

test("it is given what its arguments say", async () => {
  const asked: CountedRun[] = [];
  const look = async (one: CountedRun): Promise<CountedEnd> => {
    asked.push(one);
    return DONE;
  };
  await called(["--kills", "20", "--seed", "again", "--strikes"], look);
  await called([], look);
  expect(asked[0]).toMatchObject({ count: 20, seed: "again", flags: new Set(["strikes"]) });
  expect(asked[1]).toMatchObject({ count: 1_000, flags: new Set() });
});

test.each([["--kills", "0x10"], ["--kills", "1e3"], ["--kills"], ["--kils", "3"], ["3"]])(
  "%j %j cannot be understood, and nothing is run",
  async (...args) => {
    const { code, stdout, stderr } = await called(args, async () => {
      throw new Error("it ran");
    });
    expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
    expect(stderr).toContain("usage: npm run chaos -- [--kills N] [--seed TEXT] [--strikes]");
  },
);

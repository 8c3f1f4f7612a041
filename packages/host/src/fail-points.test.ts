import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { FAIL_POINTS } from "@mayfly/spec";
import { configuredFailPoints } from "./configured-fail-points.ts";
import { inertFailPoints } from "./inert-fail-points.ts";

test("an inert point is passed", async () => {
  for (const point of FAIL_POINTS) await inertFailPoints.reached(point);
  expect(FAIL_POINTS.length).toBeGreaterThan(10);
});

test("a point strikes at its visit, once, and no other does", async () => {
  const blows: string[] = [];
  const points = configuredFailPoints("issue.after=kill@2, activate.after=stop", (signal) => {
    blows.push(signal);
  });
  await points.reached("issue.after");
  await points.reached("issue.before");
  expect(blows).toEqual([]);
  await points.reached("issue.after");
  expect(blows).toEqual(["SIGKILL"]);
  await points.reached("activate.after");
  await points.reached("activate.after");
  await points.reached("issue.after");
  expect(blows).toEqual(["SIGKILL", "SIGSTOP"]);
});

test("those that gather stand still at their point until the last one is there", async () => {
  const blows: string[] = [];
  const points = configuredFailPoints("issue.after=stop*3", (signal) => blows.push(signal));
  let passed = 0;
  const pass = (): Promise<number> => points.reached("issue.after").then(() => passed++);
  const first = [pass(), pass()];
  await new Promise(setImmediate);
  expect({ blows, passed }).toEqual({ blows: [], passed: 0 });
  await Promise.all([...first, pass()]);
  expect({ blows, passed }).toEqual({ blows: ["SIGSTOP"], passed: 3 });
  await pass();
  expect(blows).toHaveLength(1);
});

test.each([
  "",
  "issue.after",
  "issue.later=kill",
  "issue.after=explode",
  "issue.after=kill@0",
  "issue.after=kill*0",
  "issue.after=kill@2*2",
  "issue.after=kill@x",
  "issue.after=kill,issue.after=stop",
  "issue.after=kill;activate.after=kill",
])("%o is refused, because it would test nothing", (setting) => {
  expect(() => configuredFailPoints(setting)).toThrow(/^fail points: /);
});

const moduleUrl = JSON.stringify(import.meta.resolve("./configured-fail-points.ts"));
const program = (setting: string): string => `
  import { configuredFailPoints } from ${moduleUrl};
  const points = configuredFailPoints(${JSON.stringify(setting)});
  process.stdout.write("before\\n");
  await points.reached("issue.after");
  process.stdout.write("after\\n");
`;

function run(setting: string) {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program(setting)], {
    stdio: ["ignore", "pipe", "inherit"],
    cwd: import.meta.dirname,
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  return { child, output: () => output };
}

test("kill ends the process before its next line", async () => {
  const { child, output } = run("issue.after=kill");
  expect(await once(child, "close")).toEqual([null, "SIGKILL"]);
  expect(output()).toBe("before\n");
});

test.runIf(process.platform === "linux")(
  "stop freezes the process before its next line, until it is told to go on",
  async () => {
    const { child, output } = run("issue.after=stop");
    const closed = once(child, "close");
    const stateOf = async (): Promise<string> =>
      /^State:\s+(\w)/m.exec(await readFile(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? "";
    await expect.poll(stateOf, { timeout: 10_000 }).toBe("T");
    expect(output()).toBe("before\n");
    child.kill("SIGCONT");
    await closed;
    expect(output()).toBe("before\nafter\n");
  },
);

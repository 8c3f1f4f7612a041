import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGuarded, type GuardedProcess } from "@mayfly/embedded";
import { DEV_PORTS_MS_MAX, holdDevPorts, until } from "../harness/index.ts";
import { ROOT } from "../tidy/repository.ts";

const BROKER = "http://127.0.0.1:8420";
const UP = "Ctrl-C stops everything.";
const MS_MAX = 180_000;

let folder: string;
let ports: AsyncDisposable;
beforeAll(async () => {
  ports = await holdDevPorts();
  folder = await mkdtemp(join(tmpdir(), "mayfly-dev-"));
}, DEV_PORTS_MS_MAX);
afterAll(async () => {
  await ports?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Dev extends AsyncDisposable {
  readonly process: GuardedProcess;
  readonly lines: readonly string[];
}

/** `npm run dev -- --demo-workloads` in the test's folder; resolves when it is up, or has ended. */
async function dev(): Promise<Dev> {
  const lines: string[] = [];
  const started = await startGuarded({
    command: process.execPath,
    args: [join(ROOT, "services/embedded/src/dev.ts"), "--demo-workloads", "--folder", folder],
    parentDeathSignal: "TERM",
    user: undefined,
    env: { PATH: process.env["PATH"] ?? "", NODE_NO_WARNINGS: "1" },
    input: undefined,
    log: (line) => lines.push(line),
  });
  await until("dev to be up or gone", MS_MAX, async () => {
    return started.hasEnded() || lines.some((line) => line.includes(UP));
  });
  const end = async (): Promise<void> => {
    started.signal("SIGTERM");
    await until("the end of dev", MS_MAX, async () => started.hasEnded());
  };
  return { process: started, lines, [Symbol.asyncDispose]: end };
}

async function policies(method: "GET" | "PUT", body?: unknown): Promise<unknown> {
  const token = (await readFile(join(folder, "admin-token"), "utf8")).trim();
  const answer = await fetch(`${BROKER}/v1/policies`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(answer.ok).toBe(true);
  return answer.json();
}

test("policies that somebody activated decide after the next start too", async () => {
  const own = {
    name: "own.cedar",
    text: `@id("own")\n@description("Mine.")\npermit (principal, action == Action::"issue", resource);\n`,
  };
  {
    await using first = await dev();
    expect(first.lines.join("\n")).toContain(join(folder, "admin-token"));
    expect(await policies("GET")).toMatchObject({ sources: [{ name: "orders.cedar" }] });
    await policies("PUT", { sources: [own] });
  }
  await using second = await dev();
  expect(await policies("GET")).toMatchObject({ sources: [own] });
  expect(second.lines.join("\n")).toContain("Other policies are active than the demo's");
});

test("a second one in the same folder says who has it, and ends, in words", async () => {
  await using first = await dev();
  expect(first.process.hasEnded()).toBe(false);
  await using second = await dev();
  expect(second.process.hasEnded()).toBe(true);
  const said = second.lines.join("\n");
  expect(said).toMatch(/belongs to process \d+, which is alive\. Stop process \d+ first/);
  expect(said).not.toMatch(/^\s+at /m);
});

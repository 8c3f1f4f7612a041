import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lease, LEASE, problem, TASK, task, TOKEN } from "./__fixtures__/broker-answers.ts";
import { runAgainst } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
let broker: TestBroker;
let url: string;
beforeEach(async () => {
  broker = new TestBroker();
  url = await broker.start();
});
afterEach(() => broker.stop());

describe("an answer that no broker gives", () => {
  const lists = [
    ["lease list", "/v1/leases"],
    ["task list", "/v1/tasks"],
    ["event list", "/v1/events"],
    ["backend list", "/v1/backends"],
    ["role list", "/v1/roles"],
    ["trust list", "/v1/trust"],
    ["policy list", "/v1/policies"],
    [`lease show ${LEASE}`, `/v1/leases/${LEASE}`],
  ] as const;
  const strange = ["null", "[]", '"text"', "42", "{}", '{"items":null}', '{"items":[null]}'];
  test.each(lists)("is told by %s as what it is, never as a defect", async (line, path) => {
    for (const body of strange) {
      broker.answers.set(`GET ${path}`, { body: JSON.parse(body) as never });
      for (const more of ["", " -q"]) {
        const { code, out, err } = await runAgainst(url, line + more);
        expect(err, body).toMatch(/^code {3}not_a_broker$/m);
        expect(err).toContain("not as expected");
        expect({ code, out }).toEqual({ code: 5, out: "" });
      }
    }
  });

  test("a page that names itself as the next one ends the list instead of repeating it", async () => {
    broker.answers.set("GET /v1/leases", { body: { items: [lease()], next: "p" } });
    const { code, err } = await runAgainst(url, "lease list --all");
    expect(code).toBe(5);
    expect(err).toContain("names itself");
    expect(broker.requests.length).toBeLessThan(4);
  });

  test("a refused export leaves no empty file behind, which the next one would stop at", async () => {
    broker.answers.set("GET /v1/ledger/export", problem(422, "invalid_input"));
    const output = join(tmpdir(), `mayfly-export-${process.pid}.ndjson`);
    expect((await runAgainst(url, `ledger export --output ${output}`)).code).toBe(4);
    expect(existsSync(output)).toBe(false);
  });

  test("a page of a proxy is told as one", async () => {
    const { code, err } = await runAgainst(url, "lease list", {
      fetch: () => Promise.resolve(new Response("<html>Bad gateway</html>", { status: 502 })),
    });
    expect(code).toBe(5);
    expect(err).toContain("not JSON");
  });
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The command as a process; `act` is called when `until` was asked of the broker. */
function runProcess(
  argv: readonly string[],
  at: string,
  act: (pid: number) => void,
  server: Server,
) {
  const child = spawn(process.execPath, [MAIN, ...argv], {
    env: { MAYFLY_URL: at, MAYFLY_ADMIN_TOKEN: TOKEN },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  server.on("request", ({ method }) => {
    if (method === "POST" && child.pid !== undefined) act(child.pid);
  });
  return new Promise<Ended>((resolve) => {
    child.once("close", (code) => resolve({ code, out, err }));
  });
}

describe("Ctrl-C", () => {
  let server: Server;
  let at: string;
  beforeEach(async () => {
    // Tells of the task, and never answers a change.
    server = createServer((request, response) => {
      if (request.method !== "GET") return;
      response.setHeader("content-type", "application/json").end(JSON.stringify(task()));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    at = typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "";
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  test("ends with 130 and says what may have been done", async () => {
    const kill = (pid: number): void => {
      process.kill(pid, "SIGINT");
    };
    const ended = await runProcess(["task", "kill", TASK, "--yes"], at, kill, server);
    expect(ended.err).toContain(`may have been made: POST /v1/tasks/${TASK}/kill`);
    expect(ended.err).toMatch(/^code {3}interrupted$/m);
    expect(ended.code).toBe(130);
  });
});

test("a reader that leaves, such as head, is no failure", async () => {
  const many = Array.from({ length: 1_000 }, () => lease());
  let page = 0;
  broker.answers.set("GET /v1/leases", () => ({ body: { items: many, next: `p${page++}` } }));
  const script = '"$NODE" "$MAIN" lease list --all --json | head -1; echo "${PIPESTATUS[0]}"';
  const child = spawn("bash", ["--norc", "--noprofile", "-c", script], {
    env: {
      NODE: process.execPath,
      MAIN,
      MAYFLY_URL: url,
      MAYFLY_ADMIN_TOKEN: TOKEN,
      PATH: process.env["PATH"] ?? "",
      SHLVL: "1",
    },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  await new Promise((resolve) => child.once("close", resolve));
  const [first, status] = out.trim().split("\n");
  expect(JSON.parse(first ?? "")).toEqual(lease());
  expect({ status, err }).toEqual({ status: "0", err: "" });
});

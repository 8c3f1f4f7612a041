import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { counts, decision, DECISION, lease, LEASE, task } from "./__fixtures__/broker-answers.ts";
import { runAgainst } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";
import { createProgram, withDescendants } from "./program.ts";
import { processIo } from "./process-io.ts";

const nowhere = processIo({}, () => Promise.reject(new Error("help asks nobody")));
const broker = new TestBroker();
let url: string;
let folder: string;
beforeAll(async () => {
  [url, folder] = [await broker.start(), await mkdtemp(join(tmpdir(), "mayfly-shapes-"))];
});
afterAll(async () => {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

const words = withDescendants(createProgram(nowhere, { code: 0 }, "1.2.3"))
  .filter((command) => command.parent !== null && command.name() !== "complete")
  .map((command) => {
    const { parent } = command;
    const group = parent === null || parent.parent === null ? [] : [parent.name()];
    return [...group, command.name()].join(" ");
  })
  .filter((line) => !line.split(" ").includes("help"));

test.each(words)("%s --help prints usage and is no failure", async (line) => {
  const { code, out, err } = await runAgainst("http://127.0.0.1:1", `${line} --help`);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toContain(`Usage: mayfly ${line}`);
  // A group shows its commands, a command how it is used.
  expect(out).toMatch(/^Commands:|^ {2}\$ .*mayfly /m);
});

describe("with --json", () => {
  const unchanged: readonly (readonly [line: string, call: string, body: unknown])[] = [
    [`lease show ${LEASE}`, `GET /v1/leases/${LEASE}`, lease({ added_later: [1] })],
    [`explain ${DECISION}`, `GET /v1/decisions/${DECISION}`, decision],
  ];
  test.each(unchanged)("%s prints the broker's answer as it is", async (line, call, body) => {
    broker.answers.set(call, { body: body as never });
    expect(JSON.parse((await runAgainst(url, `${line} --json`)).out)).toEqual(body);
  });

  test("lists print a record a line as it is, and nothing else", async () => {
    for (const [line, path, item] of [
      ["lease list", "/v1/leases", lease({ goal: "a\u001b[2Jb" })],
      ["task list", "/v1/tasks", task()],
      ["trust list", "/v1/trust", { name: "a", kind: "oidc", enabled: true, config: {} }],
    ] as const) {
      broker.answers.set(`GET ${path}`, { body: { items: [item], next: null } });
      const { out, err } = await runAgainst(url, `${line} --json`);
      expect(err).toBe("");
      expect(out).not.toContain("\u001b");
      expect(
        out
          .trim()
          .split("\n")
          .map((each): unknown => JSON.parse(each)),
      ).toEqual([item]);
    }
  });

  /** What the command itself makes: its members are public, and only ever added to. */
  test("what the command makes itself has these members", async () => {
    const policies = join(folder, "policies");
    await mkdir(policies, { recursive: true });
    await writeFile(join(policies, "a.cedar"), '@id("a") permit (principal, action, resource);');
    broker.answers.set("GET /v1/policies", {
      body: { digest: null, sources: [], activated_at: null },
    });
    for (const path of ["backends", "roles", "trust", "leases"]) {
      broker.answers.set(`GET /v1/${path}`, { body: { items: [], next: null } });
    }
    broker.answers.set("POST /v1/plan", { body: { objects: [] } });
    broker.answers.set("GET /v1/ledger/counts", { body: counts() });
    const membersOf = async (line: string): Promise<readonly string[]> => {
      const { out, err } = await runAgainst(url, `${line} --json`);
      const [first = ""] = (out === "" ? err : out).split("\n");
      return Object.keys(JSON.parse(first) as object);
    };
    expect({
      apply: await membersOf(`apply -f ${folder} --dry-run`),
      doctor: await membersOf("doctor"),
      "policy check": await membersOf(`policy check ${policies}`),
      error: await membersOf("lease show lease_none"),
    }).toEqual({
      apply: ["dry_run", "objects", "policy_tests", "summary"],
      doctor: ["check", "result", "severity", "text", "why", "todo"],
      "policy check": ["ok", "digest", "policies", "warnings"],
      error: ["code", "detail", "where", "title", "todo", "trace", "exit"],
    });
  });
});

test("an unknown command and an unknown option suggest the one that was meant", async () => {
  for (const [line, meant] of [
    ["aply -f x", "apply"],
    ["lease lsit", "list"],
    ["apply --dryrun -f x", "--dry-run"],
  ] as const) {
    const { code, err } = await runAgainst("http://127.0.0.1:1", line);
    expect(code).toBe(2);
    expect(err).toContain(`Did you mean ${meant}?`);
  }
});

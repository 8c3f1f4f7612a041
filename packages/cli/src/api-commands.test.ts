import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  CHILD,
  decision,
  DECISION,
  lease,
  LEASE,
  NOW,
  problem,
  task,
  TASK,
  TOKEN,
} from "./__fixtures__/broker-answers.ts";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker, type Answer, type Request } from "./__fixtures__/test-broker.ts";
import type { Io } from "./index.ts";

let broker: TestBroker;
let url: string;
beforeEach(async () => {
  broker = new TestBroker();
  url = await broker.start();
});
afterEach(() => broker.stop());
const run = (line: string, more: Partial<Io> = {}): Promise<Ran> => runAgainst(url, line, more);

describe("lists", () => {
  test("leases are a table with what a person asks for", async () => {
    const stuck = lease({
      id: LEASE.replace("8000", "9000"),
      state: "stuck",
      role: "legacy-db/reader",
      exposure: { kind: "unknown", reason: "stuck" },
      end_requested_at: "2026-11-20T21:59:00.000Z",
      attempts: 7,
      last_error: "connection refused",
      next_attempt_at: "2026-11-20T22:03:38.000Z",
    });
    broker.answers.set("GET /v1/leases", { body: { items: [lease(), stuck], next: null } });
    const { code, out } = await run("lease list --exposed");
    expect(code).toBe(0);
    const [title, first, second] = out.split("\n");
    expect(title).toMatch(/^LEASE +WORKLOAD +ROLE +STATE +ENDS +EXPOSED$/);
    expect(first).toMatch(/orders-db\/reader +active +in 12 min +until 22:15 \(live\)$/);
    expect(second).toMatch(
      /stuck +4 min ago +unknown \(connection refused, try 7, next in 38 s\)$/,
    );
    expect(broker.requests[0]?.call).toBe("GET /v1/leases?exposed=true&limit=100");
    expect(broker.requests[0]?.authorization).toBe(`Bearer ${TOKEN}`);
  });

  test("--json prints one record per line, as the broker gave it, over all pages", async () => {
    const pages: Readonly<Record<string, Answer>> = {
      "": { body: { items: [lease({ a_new_member: 1 })], next: "p2" } },
      p2: { body: { items: [lease({ id: `${LEASE.slice(0, -1)}2` })], next: null } },
    };
    broker.answers.set(
      "GET /v1/leases",
      (at) => pages[at.searchParams.get("after") ?? ""] ?? problem(404, "not_found"),
    );
    const { out } = await run("lease list --all --json");
    const records = out
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(records).toEqual([lease({ a_new_member: 1 }), lease({ id: `${LEASE.slice(0, -1)}2` })]);
  });

  test("a list that is cut says how to go on; -q prints ids alone", async () => {
    broker.answers.set("GET /v1/leases", { body: { items: [lease()], next: "p2" } });
    const person = await run("lease list --limit 1");
    expect(person.err).toContain("--after p2");
    const quiet = await run("lease list --limit 1 -q");
    expect(quiet).toEqual({ code: 0, out: `${LEASE}\n`, err: "" });
  });

  test("times ago become instants", async () => {
    broker.answers.set("GET /v1/events", { body: { items: [], next: null } });
    await run("event list --from 7d --until 2026-11-20T10:00:00+01:00");
    const query = new URL(`http://x${broker.requests[0]?.call.slice(4)}`).searchParams;
    expect(query.get("from")).toBe("2026-11-13T22:03:00.000Z");
    expect(query.get("until")).toBe("2026-11-20T09:00:00.000Z");
    expect((await run("event list --from yesterday")).code).toBe(2);
  });

  test("text from an agent moves no cursor on the operator's terminal", async () => {
    const goal = "good\u001b[2Jbad\u202e\nsecond line";
    broker.answers.set("GET /v1/tasks", { body: { items: [task({ goal })], next: null } });
    const { out } = await run("task list");
    expect(out).not.toContain("\u001b");
    expect(out).not.toContain("\u202e");
    expect(out.trim().split("\n")).toHaveLength(2);
  });
});

test("task show tells the whole story, children below their parent", async () => {
  broker.answers.set(`GET /v1/tasks/${TASK}/chain`, {
    body: {
      task: task({ state: "completed", ended_at: "2026-11-20T22:03:12.000Z" }),
      descendants: [task({ id: CHILD, parent: TASK, opened_at: "2026-11-20T22:01:00.000Z" })],
      decisions: [{ ...decision, effect: "permit", determining_policies: ["invoice-bots"] }],
      leases: [
        lease({
          state: "ended",
          outcome: "revoked",
          exposure: { kind: "none" },
          end_requested_at: "2026-11-20T22:03:12.000Z",
          ended_at: "2026-11-20T22:03:12.002Z",
        }),
        lease({
          id: `${LEASE.slice(0, -1)}2`,
          task: CHILD,
          reserved_at: "2026-11-20T22:01:01.000Z",
        }),
      ],
      events: [18_201, 18_214].map((at) => ({
        id: "evt_1",
        kind: "task.opened",
        at: NOW,
        actor: { kind: "system", name: "broker" },
        task: TASK,
        lease: null,
        decision: null,
        data: {},
        log_index: at,
      })),
      truncated: false,
    },
  });
  const { out } = await run(`task show ${TASK}`);
  expect(out).toContain("(JIRA-4711)  completed after 3 min 12 s");
  expect(out).toContain("alice@acme.test (verified)");
  const lines = out.split("\n");
  const at = (text: string): number => lines.findIndex((line) => line.includes(text));
  expect(lines[at(CHILD) + 1]).toMatch(/^│ {2}└─ 22:01:01 +lease_/);
  expect(out).toContain("revoked in 2 ms");
  expect(out).toContain("└─ log 18,201 … 18,214");
  expect(at("permit")).toBeLessThan(at(CHILD));
  expect(at("revoked")).toBeGreaterThan(at(CHILD));
});

test("explain shows verdict, policy and request, by both of its names", async () => {
  broker.answers.set(`GET /v1/decisions/${DECISION}`, { body: decision });
  const { out } = await run(`explain ${DECISION}`);
  expect(out).toContain("deny");
  expect(out).toContain("no-prod-writes");
  expect(out).toMatch(/role\.name +orders-db\/writer/);
  expect((await run(`policy explain ${DECISION}`)).out).toBe(out);
  expect(JSON.parse((await run(`explain ${DECISION} --json`)).out)).toEqual(decision);
});

describe("what cannot be undone", () => {
  beforeEach(() => {
    broker.answers.set(`GET /v1/tasks/${TASK}`, { body: task() });
    broker.answers.set(`POST /v1/tasks/${TASK}/kill`, {
      body: {
        task: task({ state: "killed", ended_at: NOW }),
        leases: [lease({ state: "ending" })],
      },
    });
  });
  const killed = (): readonly Request[] =>
    broker.requests.filter(({ call }) => call.endsWith("/kill"));

  test("says what it would do and refuses where nobody can answer", async () => {
    const { code, err } = await run(`task kill ${TASK}`);
    expect(code).toBe(2);
    expect(err).toContain("Reconcile the October invoices");
    expect(err).toContain("--yes");
    expect(killed()).toEqual([]);
  });

  test("does nothing unless the answer is yes", async () => {
    for (const answer of ["", "n", "yes please"]) {
      const ran = await run(`task kill ${TASK}`, {
        interactive: true,
        ask: () => Promise.resolve(answer),
      });
      expect(ran.code).toBe(2);
    }
    expect(killed()).toEqual([]);
    const ran = await run(`task kill ${TASK}`, {
      interactive: true,
      ask: () => Promise.resolve("Y"),
    });
    expect(ran.code).toBe(0);
    expect(killed()).toHaveLength(1);
  });

  test("goes on with --yes, and answers each lease's state and exposure", async () => {
    const { code, out, err } = await run(`task kill ${TASK} --yes --wait 5s --reason compromised`);
    expect(code).toBe(0);
    expect(killed()[0]?.body).toEqual({ wait: "5s", reason: "compromised" });
    expect(err).toContain("killed");
    expect(out).toMatch(/ending .*until 22:15 \(live\)/);
  });
});

describe("errors", () => {
  test("have four parts, in the broker's own words, and the trace", async () => {
    const { code, out, err } = await run(`lease show ${LEASE}`);
    expect(code).toBe(4);
    expect(out).toBe("");
    expect(err.split("\n")).toEqual([
      "error  There is no lease that this caller may see.",
      "where  id",
      "why    There is no such object, or the caller may not see it.",
      "do     Check the id.",
      "code   not_found",
      "trace  abc123",
      "",
    ]);
  });
  test("are one JSON object with --json, with the broker's public members", async () => {
    broker.answers.set("PUT /v1/policies", problem(422, "config_invalid", { problems: ["a"] }));
    broker.answers.set(`GET /v1/leases/${LEASE}`, problem(503, "busy", { decision: DECISION }));
    const { code, err } = await run(`lease show ${LEASE} --json`);
    expect(code).toBe(5);
    expect(JSON.parse(err)).toMatchObject({ code: "busy", decision: DECISION, exit: 5 });
  });
  test("of the command line name the help to read", async () => {
    const { code, err } = await run("lease lst");
    expect(code).toBe(2);
    expect(err).toContain("Did you mean list?");
    expect(err).toContain("mayfly lease --help");
  });
  test("of help for what is no command do not say that one is missing", async () => {
    expect((await run("help nope")).err).toContain("There is no such command to help with.");
    expect((await run("lease")).err).toContain("A command is missing.");
  });

  test("say which URL nobody answers at", async () => {
    const { code, err } = await run("lease list --url http://127.0.0.1:1");
    expect(code).toBe(5);
    expect(err).toContain("http://127.0.0.1:1");
    expect(err).toContain("--url");
  });
  test("never show the token", async () => {
    const bad = await run("lease list", { environment: { MAYFLY_ADMIN_TOKEN: "two\nlines" } });
    expect(bad.code).toBe(3);
    expect(bad.err).not.toContain("lines");
    for (const line of ["lease list --url http://127.0.0.1:1", `lease show ${LEASE}`]) {
      const { out, err } = await run(line);
      expect(out + err).not.toContain(TOKEN);
    }
  });
});

describe("the administrator's token", () => {
  test.each(["http://broker.acme.test:8420", "http://127.evil.test", "http://10.0.0.1"])(
    "is not sent over plain http to %s",
    async (elsewhere) => {
      const sent: string[] = [];
      const spy: Io["fetch"] = (to) => {
        sent.push(to);
        return Promise.reject(new Error("not reached"));
      };
      const refused = await run(`lease list --url ${elsewhere}`, { fetch: spy });
      expect(refused.code).toBe(3);
      expect(refused.err).toContain("--unsafe-plain-http");
      expect(sent).toEqual([]);
      await run(`lease list --url ${elsewhere} --unsafe-plain-http`, { fetch: spy });
      expect(sent).toHaveLength(1);
    },
  );
  test("follows no redirect", async () => {
    const { code } = await run("lease list", {
      fetch: (to, init) => {
        expect(init.redirect).toBe("error");
        return fetch(to, init);
      },
    });
    expect(code).toBe(4);
  });
});

test("an unknown MAYFLY_ variable is refused by name", async () => {
  const { code, err } = await run("lease list", { environment: { MAYFLY_ADMIN_TOKN: "x" } });
  expect(code).toBe(3);
  expect(err).toContain("MAYFLY_ADMIN_TOKN");
});

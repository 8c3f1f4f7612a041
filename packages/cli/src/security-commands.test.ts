import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Json } from "@mayfly/spec";
import { DECISION, LEASE, lease, TASK, task } from "./__fixtures__/broker-answers.ts";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";
import type { Io } from "./io.ts";

let broker: TestBroker;
let url: string;
beforeEach(async () => {
  broker = new TestBroker();
  url = await broker.start();
});
afterEach(() => broker.stop());
const run = (line: string, more: Partial<Io> = {}): Promise<Ran> => runAgainst(url, line, more);

const BOT = "spiffe://acme.test/agent/invoice-bot";
const END = `end_0199aabbccdd7eee8${"0".repeat(15)}`;
const holder = (more: object = {}) => ({
  lease: lease(),
  initiator: { name: "alice@acme.test", basis: "verified" },
  task: { id: TASK, state: "active", goal: "Reconcile", ref: null, trust_root: "acme.test" },
  policy: { digest: "9f2c".repeat(16), determining_policies: ["bots-read"] },
  ...more,
});
const preview = {
  dry_run: true,
  target: "leases",
  selector: { workload: BOT },
  tasks: 0,
  leases: 2,
  ending_already: 1,
  groups: [{ workload: BOT, role: "orders-db/reader", backend: "orders-db", leases: 2 }],
  task_ids: [],
  lease_ids: [LEASE],
  digest: "ab".repeat(32),
};
const report = {
  dry_run: false,
  end: {
    id: END,
    target: "leases",
    selector: { workload: BOT },
    by: "bootstrap",
    reason: "x",
    requested_at: "2026-11-20T22:03:00.000Z",
    look_until: "2026-11-20T22:03:00.000Z",
    looks: 1,
    finished_at: "2026-11-20T22:03:01.000Z",
    result: "none_left",
  },
  tasks: 0,
  leases: 2,
  appeared: 1,
  pending: 0,
  states: [
    { state: "ended", outcome: "revoked", leases: 1 },
    { state: "ending", outcome: null, leases: 1 },
  ],
  exposure: { leases: 1, unknown: 0, until: "2026-11-20T22:15:00.000Z" },
  items: [lease({ state: "ending" })],
  next: null,
};

describe("questions", () => {
  test("holders show on whose behalf, whether that is verified, and by which policy", async () => {
    broker.answers.set("GET /v1/ask/holders", { body: { items: [holder()], next: null } });
    const { out } = await run("ask holders --initiator alice@acme.test");
    expect(out).toMatch(/alice@acme\.test \(verified\) +bots-read@9f2c9f2c +active +until 22:15/);
    expect(broker.requests[0]?.call).toContain("initiator=alice%40acme.test");
    expect((await run("ask holders -q")).out).toBe(`${LEASE}\n`);
  });

  test("touched shows leases and denials", async () => {
    const denial = {
      kind: "denial",
      at: "2026-11-20T21:00:00.000Z",
      decision: DECISION,
      role: "orders-db/writer",
      task: null,
      determining_policies: ["no-prod-writes"],
      policy_digest: "9f2c".repeat(16),
    };
    const items = [{ kind: "lease", at: "2026-11-20T22:00:00.000Z", holder: holder() }, denial];
    broker.answers.set("GET /v1/ask/touched", { body: { items, next: null } });
    const { out } = await run(`ask touched --workload ${BOT} --from 7d`);
    expect(out).toMatch(
      /orders-db\/reader +active +alice@acme\.test \(verified\) +bots-read@9f2c9f2c/,
    );
    expect(out).toMatch(/orders-db\/writer +denied +- +no-prod-writes@9f2c9f2c +dec_/);
    expect((await run("ask touched")).code).toBe(2);
  });

  test("exposure says until when, what else may be drawn, and how to end it", async () => {
    const exposure = { leases: 2, unknown: 1, until: "2026-11-20T22:15:00.000Z" };
    broker.answers.set("GET /v1/ask/exposure", {
      body: {
        workload: BOT,
        as_of: "2026-11-20T22:03:00.000Z",
        leases: exposure,
        below: { leases: 0, unknown: 0, until: null },
        tasks_active: 1,
        tasks_until: "2026-11-20T22:30:00.000Z",
        may_draw: ["orders-db/reader"],
        items: [holder()],
        next: null,
      },
    });
    const { out, err } = await run(`ask exposure --workload ${BOT}`);
    expect(out).toContain("2 leases until 22:15, 1 of them until nobody knows when");
    expect(out).toContain("1 active, the last until 22:30");
    expect(out).toContain(LEASE);
    expect(err).toContain(`mayfly task kill --workload ${BOT}`);
  });

  test("late ends show by how much and why", async () => {
    const late = {
      lease: lease({ state: "ended", outcome: "revoked", last_error: "connection refused" }),
      due_at: "2026-11-20T22:00:00.000Z",
      late_seconds: 95,
      why: "failed_attempts",
    };
    broker.answers.set("GET /v1/ask/late", { body: { items: [late], next: null } });
    const { out } = await run("ask late --over 1m");
    expect(out).toMatch(/22:00 +1 min 35 s +failed attempts: connection refused/);
    expect(broker.requests[0]?.call).toContain("over=1m");
  });

  test("policies that never decided anything come first", async () => {
    const policy = (id: string, permits: number, denials: number) => ({
      id,
      permits,
      denials,
      permits_ever: permits,
      denials_ever: denials,
      last_at: permits + denials === 0 ? null : "2026-11-20T22:00:00.000Z",
    });
    broker.answers.set("GET /v1/ask/policies", {
      body: {
        digest: "9f2c".repeat(16),
        activated_at: "2026-11-20T20:00:00.000Z",
        uncounted: 3,
        policies: [policy("used", 5, 0), policy("forbids", 0, 2), policy("dead", 0, 0)],
      },
    });
    const { out, err } = await run("ask policies");
    const lines = out.split("\n");
    expect(lines[1]).toMatch(/^dead +0 +0 +never +never decided anything$/);
    expect(lines[2]).toMatch(/^forbids +0 +2 +22:00 +never permitted$/);
    expect(lines[3]).toMatch(/^used +5 +0 +22:00$/);
    expect(err).toContain("3 entries of the log are to be counted");
  });

  test("changes are events, newest first", async () => {
    broker.answers.set("GET /v1/ask/changes", { body: { items: [], next: null } });
    expect((await run("ask changes --by bootstrap")).err).toContain("No event.");
    const event = (kind: string, data: Record<string, Json>): Record<string, Json> => ({
      id: `evt_${kind}`,
      kind,
      at: "2026-11-20T21:50:00.000Z",
      log_index: 7,
      actor: { kind: "administrator", name: "paula" },
      task: null,
      lease: null,
      decision: DECISION,
      data,
    });
    const items = [
      event("role.put", { role: { name: "orders-db/reader" }, revision: 2 }),
      event("trust.put", { root: { name: "acme.test", config: {} }, revision: 1 }),
      event("backend.disabled", { id: "orders-db", revision: 1 }),
      event("policies.activated", { digest: "9f2c".repeat(16) }),
    ];
    broker.answers.set("GET /v1/ask/changes", { body: { items, next: null } });
    const { out } = await run("ask changes");
    const of = out.split("\n").map((line) => line.split(/ {2,}/)[4]);
    const named = ["orders-db/reader", "acme.test", "orders-db", "policies@9f2c9f2c"];
    expect(of).toEqual(["OF", ...named, undefined]);
    expect(broker.requests[0]?.call).toContain("by=bootstrap");
  });
});

describe("ends by selector", () => {
  test("a dry run says exactly what would end, and ends nothing", async () => {
    broker.answers.set("POST /v1/leases/end", { body: preview });
    const { out, code } = await run(`lease end --workload ${BOT} --dry-run`);
    expect(code).toBe(0);
    expect(out).toContain("ends 2 leases");
    expect(out).toContain(`2  orders-db/reader of ${BOT}`);
    expect(out).toContain("1 lease ending or stuck already");
    expect(out).toContain(`digest ${"ab".repeat(32)}`);
    expect(out).toContain("… and 1 more");
    expect(broker.requests.map(({ body }) => body)).toEqual([
      { selector: { workload: BOT }, dry_run: true },
    ]);
  });

  test("shows it, asks, and then tells of each lease what it is", async () => {
    broker.answers.set("POST /v1/leases/end", { body: preview });
    const refused = await run(`lease end --workload ${BOT}`);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("ends 2 leases");
    expect(broker.requests).toHaveLength(1);
    const bodies: unknown[] = [];
    const { out, code } = await run(`lease end --workload ${BOT} --trust-domain acme.test --yes`, {
      fetch: (to, init) => {
        const text = typeof init.body === "string" ? init.body : "";
        bodies.push(JSON.parse(text));
        broker.answers.set("POST /v1/leases/end", {
          body: text.includes("dry_run") ? preview : report,
        });
        return fetch(to, init);
      },
    });
    expect(code).toBe(0);
    expect(bodies[1]).toEqual({
      selector: { workload: BOT, trust_domain: "acme.test" },
      wait: "10s",
    });
    expect(out).toContain("1 ended: revoked, 1 ending");
    expect(out).toContain("1 lease until 22:15");
    expect(out).toContain("1 after the request");
    expect(out).toMatch(/ending .*until 22:15 \(live\)/);
  });

  /** A broker that answers these one after the other; what it was asked is in `bodies`. */
  function answering(...answers: readonly { readonly status?: number; readonly body: unknown }[]) {
    const bodies: unknown[] = [];
    const questions: string[] = [];
    const io: Partial<Io> = {
      interactive: true,
      ask: async (question) => {
        questions.push(question);
        return "y";
      },
      fetch: async (_to, { body }) => {
        const { status = 200, body: answer } = answers[bodies.length] ?? { body: {} };
        bodies.push(JSON.parse(typeof body === "string" ? body : "null"));
        return Response.json(answer, { status });
      },
    };
    return { io, bodies, questions };
  }
  const nothing = { ...preview, leases: 0, ending_already: 0, groups: [], lease_ids: [] };
  const none = { ...report, leases: 0, appeared: 0, states: [], items: [] };
  const changed = {
    status: 409,
    body: {
      title: "Changed",
      detail: "The set that would end is not the one that was looked at.",
      code: "conflict",
      todo: "Look again.",
      where: "expect",
    },
  };

  test("what matched nothing is said in words, and ends with 1", async () => {
    const says = `nothing matched: there is no live lease of workload ${BOT}`;
    const dry = answering({ body: nothing });
    const looked = await run(`lease end --workload ${BOT} --dry-run`, dry.io);
    expect(looked).toMatchObject({ code: 1 });
    expect(looked.err).toContain(says);
    for (const more of ["", " -q", " --json"]) {
      const { io, bodies } = answering({ body: nothing }, { body: none });
      const ended = await run(`lease end --workload ${BOT} --yes${more}`, io);
      expect([more, ended.code]).toEqual([more, 1]);
      expect(ended.err).toContain(says);
      expect(bodies, "it is asked for all the same: something may appear").toHaveLength(2);
      if (more === " --json") expect(JSON.parse(ended.out)).toEqual(none);
    }
    const tasks = answering({ body: { ...nothing, target: "tasks" } });
    const kill = await run(`task kill --workload ${BOT} --dry-run`, tasks.io);
    expect(kill.err).toContain("there is no active task of workload");
    const late = answering({ body: nothing }, { body: report });
    expect((await run(`lease end --workload ${BOT} --yes`, late.io)).code).toBe(0);
    const dying = answering({ body: { ...nothing, ending_already: 1 } });
    expect((await run(`lease end --workload ${BOT} --dry-run`, dying.io)).code).toBe(0);
  });

  test("a yes is to what was shown: what has changed by then is shown and asked again", async () => {
    const now = { ...preview, leases: 3, digest: "cd".repeat(32) };
    const { io, bodies, questions } = answering(
      { body: preview },
      changed,
      { body: now },
      { body: report },
    );
    const { code, err } = await run(`lease end --workload ${BOT}`, io);
    expect(code, err).toBe(0);
    expect(bodies.map((body) => (body as { expect?: string }).expect)).toEqual([
      undefined,
      preview.digest,
      undefined,
      now.digest,
    ]);
    expect(questions).toHaveLength(2);
    expect(err).toMatch(/ends 2 leases[^]*has changed since it was shown[^]*ends 3 leases/);
  });

  test("a set that changes again and again is asked about three times, and nothing ends", async () => {
    const { io, bodies, questions } = answering(
      ...Array.from({ length: 9 }, (_, n) => (n % 2 === 0 ? { body: preview } : changed)),
    );
    const { code, err } = await run(`lease end --workload ${BOT}`, io);
    expect([code, questions.length, bodies.length]).toEqual([4, 3, 6]);
    expect(err).toContain("not the one that was looked at");
  });

  test("with --yes or --expect it is asked for once, for what is selected or for that set", async () => {
    const yes = answering({ body: preview }, { body: report });
    expect((await run(`lease end --workload ${BOT} --yes`, yes.io)).code).toBe(0);
    expect(yes.bodies[1]).not.toHaveProperty("expect");
    const digest = "ef".repeat(32);
    const known = answering({ body: preview }, changed);
    expect((await run(`lease end --workload ${BOT} --expect ${digest}`, known.io)).code).toBe(4);
    expect(known.bodies[1]).toMatchObject({ expect: digest });
    expect(known.questions).toHaveLength(1);
  });

  test("nothing selected, or ids and a selection, is a mistake", async () => {
    for (const line of [
      "lease end",
      "task kill",
      `lease end ${LEASE} --workload ${BOT}`,
      `task kill ${TASK} --dry-run`,
    ]) {
      expect([line, (await run(line)).code]).toEqual([line, 2]);
    }
    expect(broker.requests).toEqual([]);
  });

  test("can be looked at again", async () => {
    broker.answers.set(`GET /v1/ends/${END}`, { body: report });
    const { out } = await run(`end show ${END}`);
    expect(out).toContain(`${END}  none left`);
    broker.answers.set("GET /v1/ends", { body: { items: [report.end], next: null } });
    expect((await run("end list")).out).toContain(`leases workload=${BOT}`);
  });
});

describe("trace", () => {
  const secret = "s3cr3t-canary-string";
  const found = {
    leases: [{ via: "fingerprint", holder: holder() }],
    tasks: [task()],
    tried: { secrets: 1, lease_names: 0, task_names: 0, truncated: false },
    todo: [`mayfly lease end ${LEASE}`],
  };

  test("reads standard input only, and shows where it came from and what to do", async () => {
    broker.answers.set("POST /v1/trace", { body: found });
    const { out, code, err } = await run("trace", { readSecret: async () => `${secret}\n` });
    expect(code).toBe(0);
    expect(out).toContain(LEASE);
    expect(out).toContain("alice@acme.test (verified)");
    expect(out).toContain(`mayfly lease end ${LEASE}`);
    expect(out + err).not.toContain(secret);
    expect(broker.requests[0]).toMatchObject({
      call: "POST /v1/trace",
      body: { text: `${secret}\n` },
    });
  });

  test("takes no argument: it would stay in the shell's history", async () => {
    const ran = await run(`trace ${secret}`);
    expect(ran.code).toBe(2);
    expect(ran.err).toContain("standard input");
    expect(ran.err, "nor does it come out again").not.toContain(secret);
    expect(broker.requests).toEqual([]);
  });

  test("a miss says what was tried, and exits 1", async () => {
    broker.answers.set("POST /v1/trace", {
      body: { ...found, leases: [], tasks: [], todo: [] },
    });
    const miss = await run("trace", { readSecret: async () => secret });
    expect(miss.code).toBe(1);
    expect(miss.err).toContain("Tried 1 pieces by fingerprint");
    expect((await run("trace", { readSecret: async () => " " })).code).toBe(2);
    expect((await run("trace", { readSecret: async () => "x".repeat(70_000) })).code).toBe(2);
  });
});

import { describe, expect, it } from "vitest";
import { ADMIN_TOKEN, createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { READER } from "../testing/registered.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  listAt,
  opened,
  readerTask,
  textAt,
  type OpenedTask,
} from "../testing/token-form.ts";

async function withTask(): Promise<{ bench: BrokerBench; task: OpenedTask }> {
  const bench = await createBrokerBench();
  return { bench, task: opened(await exchange(bench, bench.identities.svid("bot"))) };
}

const UNKNOWN = `task_${"0".repeat(12)}7${"0".repeat(3)}8${"0".repeat(15)}`;

describe("ending a task", () => {
  it.each([
    ["complete", "completed"],
    ["fail", "failed"],
    ["cancel", "cancelled"],
    ["kill", "killed"],
  ])(
    "by %s makes it %s, and with `wait` answers what became of each lease",
    async (verb, state) => {
      const { bench, task } = await withTask();
      const answer = await bench.call("POST", `/v1/tasks/${task.id}/${verb}`, {
        token: task.token,
        body: { wait: "20s", reason: "the work is done" },
      });
      expect(answer.status).toBe(200);
      expect(answer.body).toMatchObject({
        task: { id: task.id, state, end_reason: "the work is done" },
        leases: [
          { id: task.leases[0], state: "ended", outcome: "revoked", exposure: { kind: "none" } },
        ],
      });
      expect(bench.upstream.all()).toEqual([]);
    },
  );
  it.each([
    ["control characters", "a\u001b[31m\u0000b\u202ec", "a [31m b c"],
    ["nothing at all", "", "complete"],
    ["nothing but spaces", " \n ", "complete"],
    ["more than is kept", "x".repeat(5000), "x".repeat(1000)],
  ])("is never refused for its reason: %s", async (_what, reason, kept) => {
    const { bench, task } = await withTask();
    const answer = await bench.call("POST", `/v1/tasks/${task.id}/complete`, {
      token: task.token,
      body: { reason },
    });
    expect(answer.status).toBe(200);
    expect(at(answer, "task", "end_reason")).toBe(kept);
  });
  it("without `wait` answers at once, with the exposure that is left", async () => {
    const { bench, task } = await withTask();
    bench.upstream.fail("revoke", "hang", 100);
    const answer = await bench.call("POST", `/v1/tasks/${task.id}/complete`, {
      token: task.token,
    });
    expect(at(answer, "task", "state")).toBe("completed");
    expect(at(answer, "leases", 0, "state")).toBe("ending");
    expect(at(answer, "leases", 0, "exposure", "kind")).not.toBe("none");
  });
  it("says the truth about a lease whose backend does not obey", async () => {
    const { bench, task } = await withTask();
    bench.upstream.fail("revoke", "pretend", 100);
    const answer = await bench.call("POST", `/v1/tasks/${task.id}/complete`, {
      token: task.token,
      body: { wait: 1 },
    });
    expect(answer.status).toBe(200);
    expect(at(answer, "leases", 0, "state")).not.toBe("ended");
    expect(at(answer, "leases", 0, "exposure", "kind")).not.toBe("none");
    expect(bench.upstream.all()).toHaveLength(1);
  });
  it("twice answers the same: the first end stands", async () => {
    const { bench, task } = await withTask();
    const end = (verb: string) =>
      bench.call("POST", `/v1/tasks/${task.id}/${verb}`, { token: task.token, body: {} });
    await end("complete");
    expect(at(await end("fail"), "task", "state")).toBe("completed");
  });
  it.each([
    ["its holder", (_b: BrokerBench, task: OpenedTask) => task.token],
    ["the same workload, freshly proven", (b: BrokerBench) => b.identities.svid("bot")],
    ["an administrator", () => ADMIN_TOKEN],
  ])("is for %s", async (_who, tokenOf) => {
    const { bench, task } = await withTask();
    const token = tokenOf(bench, task);
    const answer = await bench.call("POST", `/v1/tasks/${task.id}/cancel`, { token, body: {} });
    expect(at(answer, "task", "state")).toBe("cancelled");
  });
  it.each([
    ["the parent's token", (_b: BrokerBench, parent: OpenedTask) => parent.token],
    ["the parent's workload, freshly proven", (b: BrokerBench) => b.identities.svid("bot")],
  ])("of another workload's child is for %s", async (_who, tokenOf) => {
    const { bench, task: parent } = await withTask();
    const below = opened(
      await exchangeTaskToken(bench, parent.token, {
        actor: bench.identities.svid("vat-bot"),
        details: readerTask({ parent: parent.id, deadline: "5m" }),
      }),
    );
    const token = tokenOf(bench, parent);
    const answer = await bench.call("POST", `/v1/tasks/${below.id}/cancel`, { token, body: {} });
    expect(at(answer, "task", "state")).toBe("cancelled");
    expect(at(await bench.admin("GET", `/v1/tasks/${parent.id}`), "state")).toBe("active");
  });
  it("of the parent is not for the child", async () => {
    const { bench, task: parent } = await withTask();
    const below = opened(
      await exchangeTaskToken(bench, parent.token, {
        actor: bench.identities.svid("vat-bot"),
        details: readerTask({ parent: parent.id, deadline: "5m" }),
      }),
    );
    for (const token of [below.token, bench.identities.svid("vat-bot")]) {
      const path = `/v1/tasks/${parent.id}/complete`;
      expect((await bench.call("POST", path, { token, body: {} })).status).toBe(404);
    }
    expect(at(await bench.admin("GET", `/v1/tasks/${parent.id}`), "state")).toBe("active");
  });

  it.each(["", "/chain", "/complete", "/kill", "/heartbeat"])(
    "%s by a stranger is answered as if the task were not there",
    async (suffix) => {
      const { bench, task } = await withTask();
      const stranger = opened(await exchange(bench, bench.identities.svid("mallory")));
      const method = suffix === "" || suffix === "/chain" ? "GET" : "POST";
      for (const token of [stranger.token, bench.identities.svid("mallory")]) {
        const texts: string[] = [];
        for (const id of [task.id, UNKNOWN]) {
          const answer = await bench.call(method, `/v1/tasks/${id}${suffix}`, { token });
          const { trace: _trace, ...body } = answer.body as Record<string, unknown>;
          texts.push(`${answer.status} ${JSON.stringify(body).replaceAll(id, "ID")}`);
        }
        expect(texts[0]).toBe(texts[1]);
        expect(texts[0]).toMatch(/^40[34] /);
      }
      expect(at(await bench.admin("GET", `/v1/tasks/${task.id}`), "state")).toBe("active");
    },
  );
  it("needs no policy, no trust root and no enabled backend", async () => {
    const { bench, task } = await withTask();
    await bench.admin("POST", "/v1/backends/orders-db/disable");
    await bench.admin("DELETE", "/v1/trust/acme.test");
    const answer = await bench.call("POST", `/v1/tasks/${task.id}/complete`, {
      token: task.token,
      body: { wait: "10s" },
    });
    expect(at(answer, "leases", 0, "outcome")).toBe("revoked");
  });
  it.each([
    ["a wait past the limit", { wait: "2m" }, "body.wait"],
    ["a wait in no unit", { wait: "5" }, "body.wait"],
    ["a wait that is a flag", { wait: true }, "body.wait"],
    ["an unknown member", { force: true }, "body.force"],
    ["a list", [], "body"],
  ])("refuses %s, and the task goes on", async (_what, body, where) => {
    const { bench, task } = await withTask();
    const path = `/v1/tasks/${task.id}/complete`;
    const answer = await bench.call("POST", path, { token: task.token, body });
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({ code: "invalid_input", where });
    expect(at(await bench.admin("GET", `/v1/tasks/${task.id}`), "state")).toBe("active");
  });
});

describe("a heartbeat", () => {
  it("with the task token gives a new one and keeps an idle task alive", async () => {
    const { bench, task } = await withTask();
    let { token } = task;
    for (let beat = 0; beat < 3; beat++) {
      await bench.clock.advance(50_000);
      const answer = await bench.call("POST", `/v1/tasks/${task.id}/heartbeat`, { token });
      expect(answer.body).toMatchObject({ task: { state: "active" }, token_type: "Bearer" });
      expect(at(answer, "expires_in")).toBe(600);
      token = textAt(answer, "access_token");
      await bench.core.sweep(bench.context());
    }
    expect(token).not.toBe(task.token);
    expect((await bench.call("GET", `/v1/tasks/${task.id}`, { token })).status).toBe(200);
    await bench.clock.advance(61_000);
    await bench.core.sweep(bench.context());
    const read = await bench.admin("GET", `/v1/tasks/${task.id}`);
    expect(read.body).toMatchObject({ state: "expired" });
  });
  it("says how long the new token lives in whole seconds, and never more than it does", async () => {
    const bench = await createBrokerBench();
    const details = readerTask({ deadline: "90s", credentials: [] });
    const task = opened(await exchange(bench, bench.identities.svid("bot"), { details }));
    await bench.clock.advance(10_500);
    const answer = await bench.call("POST", `/v1/tasks/${task.id}/heartbeat`, {
      token: task.token,
    });
    expect(at(answer, "expires_in")).toBe(79);
  });
  it("with a fresh identity of the workload does the same", async () => {
    const { bench, task } = await withTask();
    const answer = await bench.call("POST", `/v1/tasks/${task.id}/heartbeat`, {
      token: bench.identities.svid("bot"),
    });
    expect(at(answer, "task", "id")).toBe(task.id);
    expect(textAt(answer, "access_token").split(".")).toHaveLength(3);
  });
  it("is not the administrator's to give, nor another task's", async () => {
    const { bench, task } = await withTask();
    const other = opened(await exchange(bench, bench.identities.svid("bot")));
    for (const token of [ADMIN_TOKEN, other.token]) {
      const answer = await bench.call("POST", `/v1/tasks/${task.id}/heartbeat`, { token });
      expect([answer.status, at(answer, "code")]).toEqual([403, "denied"]);
    }
  });
  it("of an ended task says that it has ended", async () => {
    const { bench, task } = await withTask();
    await bench.call("POST", `/v1/tasks/${task.id}/complete`, { token: task.token });
    const answer = await bench.call("POST", `/v1/tasks/${task.id}/heartbeat`, {
      token: task.token,
    });
    expect([answer.status, at(answer, "code")]).toEqual([409, "task_ended"]);
  });
  it("with a task token alone is refused once the identity was proven too long ago", async () => {
    const bench = await createBrokerBench();
    const details = readerTask({ deadline: "3h", idle_timeout: "3h", credentials: [] });
    const task = opened(await exchange(bench, bench.identities.svid("bot"), { details }));
    let { token } = task;
    const beat = async (by: string) =>
      bench.call("POST", `/v1/tasks/${task.id}/heartbeat`, { token: by });
    for (let minutes = 0; minutes < 59; minutes += 9) {
      token = textAt(await beat(token), "access_token");
      await bench.clock.advance(9 * 60_000);
    }
    expect((await beat(token)).status).toBe(401);
    expect((await beat(bench.identities.svid("bot"))).status).toBe(200);
  });
});

describe("a lease", () => {
  it("is shown to its task's owner, without a secret, and ended alone", async () => {
    const { bench, task } = await withTask();
    const [lease] = task.leases;
    const path = `/v1/leases/${lease ?? ""}`;
    const read = await bench.call("GET", path, { token: task.token });
    expect(read.body).toMatchObject({
      id: lease,
      task: task.id,
      role: READER,
      state: "active",
      exposure: { kind: "until", reason: "live" },
    });
    const ended = await bench.call("POST", `${path}/end`, { token: task.token, body: {} });
    expect(ended.body).toMatchObject({ state: "ending", end_reason: "ended by its holder" });
    expect(at(await bench.admin("GET", `/v1/tasks/${task.id}`), "state")).toBe("active");
  });
  it("is renewed with the task token, within role and deadline", async () => {
    const bench = await createBrokerBench();
    const details = readerTask({ deadline: "1h", credentials: [{ role: READER }] });
    const task = opened(await exchange(bench, bench.identities.svid("bot"), { details }));
    const path = `/v1/leases/${task.leases[0] ?? ""}/renew`;
    await bench.clock.advance(60_000);
    const answer = await bench.call("POST", path, { token: task.token, body: { ttl: "2h" } });
    expect(answer.status).toBe(200);
    expect(Date.parse(textAt(answer, "expires_at"))).toBe(bench.clock.now() + 1_800_000);
    for (const token of [ADMIN_TOKEN, bench.identities.svid("bot")]) {
      const refused = await bench.call("POST", path, { token, body: { ttl: "2h" } });
      expect(at(refused, "code")).toBe("denied");
    }
  });
  it("is renewed no further than the ttl that its task declared", async () => {
    const bench = await createBrokerBench();
    const details = readerTask({ deadline: "1h", credentials: [{ role: READER, ttl: "5m" }] });
    const task = opened(await exchange(bench, bench.identities.svid("bot"), { details }));
    const path = `/v1/leases/${task.leases[0] ?? ""}/renew`;
    await bench.clock.advance(60_000);
    const refused = await bench.call("POST", path, { token: task.token, body: { ttl: "20m" } });
    expect([refused.status, at(refused, "code")]).toEqual([409, "conflict"]);
  });
  it.each(["", "/end", "/renew"])("%s of somebody else is answered like none", async (suffix) => {
    const { bench, task } = await withTask();
    const stranger = opened(await exchange(bench, bench.identities.svid("mallory")));
    const unknown = UNKNOWN.replace("task_", "lease_");
    const texts: string[] = [];
    for (const id of [task.leases[0] ?? "", unknown]) {
      const answer = await bench.call(suffix === "" ? "GET" : "POST", `/v1/leases/${id}${suffix}`, {
        token: stranger.token,
        ...(suffix === "" ? {} : { body: {} }),
      });
      const { trace: _trace, ...body } = answer.body as Record<string, unknown>;
      texts.push(`${answer.status} ${JSON.stringify(body).replaceAll(id, "ID")}`);
    }
    expect(texts[0]).toBe(texts[1]);
    expect(texts[0]).toMatch(/^404 /);
  });
});

describe("what the ledger holds", () => {
  it("is for administrators; the chain of a task also for its owner", async () => {
    const { bench, task } = await withTask();
    for (const path of ["/v1/tasks", "/v1/leases", "/v1/events", "/v1/ledger/counts"]) {
      expect((await bench.admin("GET", path)).status).toBe(200);
      const answer = await bench.call("GET", path, { token: task.token });
      expect([answer.status, at(answer, "code")]).toEqual([403, "denied"]);
      expect((await bench.call("GET", path)).status).toBe(401);
    }
    const chain = await bench.call("GET", `/v1/tasks/${task.id}/chain`, { token: task.token });
    expect(listAt(chain, "leases")).toHaveLength(1);
    expect(listAt(chain, "decisions")).toHaveLength(1);
    expect(chain.text).toContain("task.opened");
  });
  it("is paged by a key, and each page says how to go on", async () => {
    const bench = await createBrokerBench();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      await bench.clock.advance(1000);
      ids.push(opened(await exchange(bench, bench.identities.svid("bot"))).id);
    }
    const seen: string[] = [];
    let after = "";
    for (let page = 0; page < 3; page++) {
      const answer = await bench.admin("GET", `/v1/tasks?limit=2${after}`);
      seen.push(...listAt(answer, "items").map((_, n) => textAt(answer, "items", n, "id")));
      const next = at(answer, "next");
      if (typeof next !== "string") break;
      after = `&after=${encodeURIComponent(next)}`;
    }
    expect(seen.toSorted()).toEqual(ids.toSorted());
  });
  it.each([
    ["/v1/leases?sate=active", "query.sate"],
    ["/v1/leases?state=live", "query.state"],
    ["/v1/leases?limit=1001", "query.limit"],
    ["/v1/leases?workload=a%00b", "query.workload"],
    ["/v1/leases?limit=0", "query.limit"],
    ["/v1/leases?limit=1e3", "query.limit"],
    ["/v1/leases?exposed=yes", "query.exposed"],
    ["/v1/leases?from=yesterday", "query.from"],
    ["/v1/leases?task=task_1", "query.task"],
    ["/v1/events?kind=x", "query.kind"],
    ["/v1/leases?__proto__=1", "query.__proto__"],
  ])("is not asked %s: the answer names the parameter", async (path, where) => {
    const bench = await createBrokerBench({ registered: false });
    const answer = await bench.admin("GET", path);
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({ code: "invalid_input", where });
  });
  it("is not asked by a parameter that is sent twice", async () => {
    const bench = await createBrokerBench({ registered: false });
    const answer = await bench.admin("GET", "/v1/leases?limit=1&limit=2");
    expect(answer.body).toMatchObject({ code: "invalid_request", where: "limit" });
  });
  it("is verified on request", async () => {
    const { bench } = await withTask();
    while ((await bench.ledger.sequencer.append(100)) > 0);
    const answer = await bench.admin("POST", "/v1/ledger/verify", {});
    expect(answer.body).toMatchObject({ ok: true, pending: 0 });
  });
});

import { describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { READER } from "../testing/registered.ts";
import { at, exchange, opened, textAt } from "../testing/token-form.ts";

const BOT = "spiffe://acme.test/agent/bot";

async function withTasks() {
  const bench = await createBrokerBench();
  const mine = opened(await exchange(bench, bench.identities.svid("bot")));
  const theirs = opened(await exchange(bench, bench.identities.svid("other")));
  return { bench, mine, theirs };
}
const end = (bench: BrokerBench, body: unknown, path = "/v1/leases/end") =>
  bench.admin("POST", path, body);

describe("ends by selector", () => {
  it("say first what they would do, and then do exactly that", async () => {
    const { bench, mine } = await withTasks();
    const selector = { workload: BOT, role: READER };
    const dry = await end(bench, { selector, dry_run: true });
    expect(dry.body).toMatchObject({
      dry_run: true,
      target: "leases",
      selector,
      leases: 1,
      tasks: 0,
      ending_already: 0,
      groups: [{ workload: BOT, role: READER, backend: "orders-db", leases: 1 }],
      lease_ids: mine.leases,
    });
    expect(bench.upstream.all()).toHaveLength(2);
    const done = await end(bench, { selector, expect: at(dry, "digest"), wait: "5s" });
    expect(done.body).toMatchObject({
      dry_run: false,
      end: { target: "leases", by: "bootstrap", reason: "ended by bootstrap", result: "none_left" },
      leases: 1,
      appeared: 0,
      pending: 0,
      states: [{ state: "ended", outcome: "revoked", leases: 1 }],
      exposure: { leases: 0, unknown: 0, until: null },
      items: [{ id: mine.leases[0], state: "ended", exposure: { kind: "none" } }],
    });
    expect(bench.upstream.all()).toHaveLength(1);
    const again = await end(bench, { selector, expect: at(dry, "digest") });
    expect(again.status).toBe(409);
  });

  it("kill tasks, and answer until when what is not dead is exposed", async () => {
    const { bench, mine, theirs } = await withTasks();
    bench.upstream.fail("revoke", "hang", 100);
    const selector = { trust_domain: "acme.test" };
    const killed = await end(bench, { selector, reason: "compromised" }, "/v1/tasks/kill");
    expect(killed.body).toMatchObject({
      tasks: 2,
      leases: 2,
      states: [{ state: "ending", outcome: null, leases: 2 }],
      exposure: { leases: 2, unknown: 0, until: expect.any(String) as unknown },
    });
    for (const { id } of [mine, theirs]) {
      const { body } = await bench.admin("GET", `/v1/tasks/${id}`);
      expect(body).toMatchObject({ state: "killed", end_reason: "compromised" });
    }
    const id = textAt(killed, "end", "id");
    const shown = await bench.admin("GET", `/v1/ends/${id}?limit=1`);
    expect(shown.body).toMatchObject({ end: { id }, next: expect.any(String) as unknown });
    const listed = await bench.admin("GET", "/v1/ends");
    expect(listed.body).toMatchObject({ items: [{ id, selector }], next: null });
  });

  it("need at least one thing to select by, and read strictly", async () => {
    const { bench, mine } = await withTasks();
    expect((await end(bench, { selector: {} })).status).toBe(422);
    expect((await end(bench, {})).status).toBe(422);
    const unknown = await end(bench, { selector: { workloads: BOT } });
    expect(unknown.status).toBe(422);
    expect(unknown.text).toContain("workloads");
    expect((await end(bench, { selector: { task: "x" } })).text).toContain("body.selector.task");
    const asAgent = await bench.call("POST", "/v1/tasks/kill", {
      token: mine.token,
      body: { selector: { workload: BOT } },
    });
    expect(asAgent.status).toBe(403);
    expect(
      (
        await bench.admin(
          "GET",
          `/v1/ends/end_${"0".repeat(12)}7${"0".repeat(3)}8${"0".repeat(15)}`,
        )
      ).status,
    ).toBe(404);
  });

  it("refuse a name that was never registered, in words, and end nothing", async () => {
    const { bench } = await withTasks();
    for (const [selector, member, meant] of [
      [{ backend: "ordres-db" }, "backend", "Did you mean orders-db?"],
      [{ role: "orders-db/raeder" }, "role", "Did you mean orders-db/reader?"],
      [{ trust_root: "acme.tset" }, "trust_root", "Did you mean acme.test?"],
      [{ trust_domain: "acme.tset" }, "trust_domain", "Did you mean acme.test?"],
      [{ workload: BOT, role: "nosuch-db/reader" }, "role", "`mayfly role list` shows"],
    ] as const) {
      for (const path of ["/v1/leases/end", "/v1/tasks/kill"]) {
        for (const more of [{}, { dry_run: true }]) {
          const refused = await end(bench, { selector, ...more }, path);
          expect(refused.status, refused.text).toBe(422);
          expect(refused.body).toMatchObject({
            code: "invalid_input",
            where: `body.selector.${member}`,
            detail: expect.stringContaining("and there never was") as unknown,
            todo: expect.stringMatching(/^Nothing was ended\. /) as unknown,
          });
          expect(at(refused, "todo")).toContain(meant);
        }
      }
    }
    expect((await bench.admin("GET", "/v1/ends")).body).toMatchObject({ items: [] });
    expect(bench.upstream.all()).toHaveLength(2);
    for (const path of ["/v1/leases", "/v1/ask/holders"]) {
      const listed = await bench.admin("GET", `${path}?role=orders-db/raeder`);
      expect(listed.body).toMatchObject({ code: "invalid_input", where: "query.role" });
    }
    const late = await bench.admin("GET", "/v1/ask/late?backend=ordres-db");
    expect(late.body).toMatchObject({ code: "invalid_input", where: "query.backend" });
  });

  it("know a name that was deleted, and what is not registered but has its names", async () => {
    const { bench } = await withTasks();
    const idle = { selector: { role: "orders-db/secret" } };
    expect((await end(bench, idle)).body).toMatchObject({ leases: 0 });
    await bench.admin("DELETE", "/v1/roles/orders-db/secret");
    expect((await end(bench, idle)).body).toMatchObject({ leases: 0 });
    const listed = await bench.admin("GET", "/v1/leases?role=orders-db/secret");
    expect(listed.body).toMatchObject({ items: [] });
    for (const selector of [{ workload: "spiffe://acme.test/nobody" }, { initiator: "nobody" }]) {
      expect((await end(bench, { selector })).status).toBe(200);
    }
  });
});

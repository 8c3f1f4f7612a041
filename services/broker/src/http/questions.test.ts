import { describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { READER, WRITER } from "../testing/registered.ts";
import { at, exchange, listAt, opened, readerTask, textAt } from "../testing/token-form.ts";

const BOT = "spiffe://acme.test/agent/bot";
const MALLORY = "spiffe://acme.test/agent/mallory";

async function withTask(details = readerTask()) {
  const bench = await createBrokerBench();
  const task = opened(await exchange(bench, bench.identities.svid("bot"), { details }));
  return { bench, task };
}

const ask = (bench: BrokerBench, question: string) => bench.admin("GET", `/v1/ask/${question}`);

describe("the questions of security teams", () => {
  it("who holds what now, on whose behalf, by which policy", async () => {
    const { bench, task } = await withTask(readerTask({ initiator: "alice@acme.test" }));
    const answer = await ask(bench, `holders?workload=${BOT}`);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      items: [
        {
          lease: { id: task.leases[0], state: "active", role: READER },
          task: { id: task.id, state: "active", trust_root: "acme.test" },
          initiator: { name: "alice@acme.test", basis: "claimed" },
          policy: {
            digest: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
            determining_policies: ["agents-read-orders"],
          },
        },
      ],
      next: null,
    });
    await bench.admin("POST", `/v1/tasks/${task.id}/kill`, { wait: 5 });
    expect(listAt(await ask(bench, "holders"), "items")).toEqual([]);
    expect(listAt(await ask(bench, "holders?exposed=false"), "items")).toHaveLength(1);
    expect(listAt(await ask(bench, "holders?state=ended"), "items")).toHaveLength(1);
  });

  it("everything that an agent touched, what it was denied too", async () => {
    const { bench } = await withTask();
    await exchange(bench, bench.identities.svid("mallory"), {
      details: readerTask({ credentials: [{ role: WRITER }] }),
    });
    const bot = await ask(bench, `touched?workload=${BOT}&from=2020-01-01T00:00:00Z`);
    expect(bot.body).toMatchObject({ items: [{ kind: "lease" }], next: null });
    const mallory = await ask(bench, `touched?workload=${MALLORY}`);
    expect(mallory.body).toMatchObject({
      items: [
        {
          kind: "denial",
          role: WRITER,
          determining_policies: ["no-writes-by-mallory"],
          task: null,
        },
      ],
    });
    expect((await ask(bench, "touched")).status).toBe(422);
  });

  it("what is exposed if an agent is compromised, and until when", async () => {
    const { bench, task } = await withTask();
    const answer = await ask(bench, `exposure?workload=${BOT}`);
    expect(answer.body).toMatchObject({
      workload: BOT,
      leases: { leases: 1, unknown: 0, until: at(answer, "items", 0, "lease", "expires_at") },
      below: { leases: 0, unknown: 0, until: null },
      tasks_active: 1,
      may_draw: [READER],
      items: [{ lease: { id: task.leases[0] } }],
    });
  });

  it("which leases are late, and why", async () => {
    const { bench, task } = await withTask();
    bench.upstream.fail("revoke", "unavailable", 100);
    await bench.admin("POST", `/v1/tasks/${task.id}/kill`, { wait: 1 });
    await bench.clock.advance(60_000);
    const late = await ask(bench, "late?over=30s");
    expect(late.body).toMatchObject({ items: [{ lease: { id: task.leases[0] } }] });
    expect(at(late, "items", 0, "late_seconds")).toBeGreaterThan(30);
    expect(listAt(await ask(bench, "late?over=10m"), "items")).toEqual([]);
    expect((await ask(bench, "late?over=0s")).status).toBe(422);
  });

  it("which policies never permitted anything", async () => {
    const { bench } = await withTask();
    await bench.ledger.sequencer.append(1000);
    const answer = await ask(bench, "policies");
    expect(answer.body).toMatchObject({
      policies: expect.arrayContaining([
        expect.objectContaining({ id: "agents-read-orders", permits: 1, permits_ever: 1 }),
        expect.objectContaining({ id: "agents-write-orders", permits: 0, last_at: null }),
      ]) as unknown,
    });
    expect(at(answer, "activated_at")).toMatch(/Z$/);
    const none = await createBrokerBench({ registered: false });
    expect((await ask(none, "policies")).body).toMatchObject({ digest: null, policies: [] });
  });

  it("what changed in the configuration, and who did it", async () => {
    const { bench } = await withTask();
    const answer = await ask(bench, "changes?limit=1");
    expect(answer.body).toMatchObject({
      items: [{ kind: "policies.activated", actor: { kind: "administrator", name: "bootstrap" } }],
    });
    expect(listAt(await ask(bench, "changes?by=nobody"), "items")).toEqual([]);
  });

  it("are answered to administrators alone, and read strictly", async () => {
    const { bench, task } = await withTask();
    for (const question of ["holders", "policies", "changes", "late", `touched?workload=${BOT}`]) {
      const asked = await bench.call("GET", `/v1/ask/${question}`, { token: task.token });
      expect([question, asked.status]).toEqual([question, 403]);
    }
    expect((await ask(bench, "holders?who=me")).status).toBe(422);
    const range = "from=2026-11-30T00:00:00Z&until=2026-11-01T00:00:00Z";
    const refused = await ask(bench, `touched?workload=${BOT}&${range}`);
    expect([refused.status, textAt(refused, "where")]).toEqual([422, "query.until"]);
    const day = await ask(bench, "late?from=2026-02-30T00:00:00Z");
    expect(textAt(day, "detail")).toContain("expected an instant such as");
    expect(textAt(await ask(bench, "touched"), "detail")).toBe("query.workload: is missing");
  });
});

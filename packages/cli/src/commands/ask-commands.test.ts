import { expect, test } from "vitest";
import { task } from "../__fixtures__/broker-answers.ts";
import { runAgainst } from "../__fixtures__/run-against.ts";
import { TestBroker } from "../__fixtures__/test-broker.ts";

const BOT = "spiffe://acme.test/agent/invoice-bot";

test("a workload that never had a task is said to be none: nothing of a mistyped one is exposed", async () => {
  const broker = new TestBroker();
  const url = await broker.start();
  const none = { leases: 0, unknown: 0, until: null };
  broker.answers.set("GET /v1/ask/exposure", {
    body: {
      workload: BOT,
      as_of: "2026-11-20T22:03:00.000Z",
      leases: none,
      below: none,
      tasks_active: 0,
      tasks_until: null,
      may_draw: [],
      items: [],
      next: null,
    },
  });
  broker.answers.set("GET /v1/ask/touched", { body: { items: [], next: null } });
  for (const question of ["exposure", "touched"]) {
    broker.answers.set("GET /v1/tasks", { body: { items: [], next: null } });
    const mistyped = await runAgainst(url, `ask ${question} --workload ${BOT}`);
    expect(mistyped.err).toContain(`The ledger has no task of ${BOT}.`);
    broker.answers.set("GET /v1/tasks", { body: { items: [task()], next: null } });
    const known = await runAgainst(url, `ask ${question} --workload ${BOT}`);
    expect(known.err).not.toContain("has no task");
    broker.answers.delete("GET /v1/tasks");
    const untold = await runAgainst(url, `ask ${question} --workload ${BOT}`);
    expect([untold.code, untold.err], untold.err).toEqual([0, known.err]);
  }
  await broker.stop();
});

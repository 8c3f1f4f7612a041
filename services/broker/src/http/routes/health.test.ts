import { expect, it } from "vitest";
import { createBrokerBench } from "../../testing/broker-bench.ts";
import { exchange, opened } from "../../testing/token-form.ts";
import type { ReadinessCheck } from "./health.ts";

const check = (change: Partial<ReadinessCheck>): ReadinessCheck => ({
  name: "ledger",
  ok: true,
  isRequired: true,
  detail: "answers",
  ...change,
});

it("readiness tells a stranger yes or no, and the administrator why", async () => {
  const stopping = check({ name: "process", ok: false, detail: "it was told to stop" });
  const bench = await createBrokerBench({ readiness: async () => [check({}), stopping] });
  const stranger = await bench.call("GET", "/readyz");
  expect([stranger.status, stranger.body]).toEqual([503, { status: "not_ready" }]);
  const told = await bench.admin("GET", "/readyz");
  expect([told.status, told.body]).toEqual([
    503,
    {
      status: "not_ready",
      checks: [
        { name: "ledger", ok: true, required: true, detail: "answers" },
        { name: "process", ok: false, required: true, detail: "it was told to stop" },
      ],
    },
  ]);
  // Nor a workload, whose token is good.
  const task = opened(await exchange(bench, bench.identities.svid("bot")));
  const workload = await bench.call("GET", "/readyz", { token: task.token });
  expect(workload.body).toEqual({ status: "not_ready" });
  expect((await bench.call("GET", "/readyz", { token: "x" })).status).toBe(401);
});

it("a late sweep keeps no request away: ends have to come through", async () => {
  const late = check({ name: "sweep", ok: false, isRequired: false });
  const bench = await createBrokerBench({ readiness: async () => [late] });
  expect((await bench.call("GET", "/readyz")).status).toBe(200);
});

it("what changed something and who was refused is a line with route, status and trace", async () => {
  const bench = await createBrokerBench();
  await exchange(bench, bench.identities.svid("bot"));
  await bench.call("GET", "/v1/tasks");
  await bench.call("GET", "/v1/nothing");
  const lines = bench.log.entries.filter(({ message }) => message === "request");
  const told = lines.filter(({ level }) => level === "info").map(({ fields }) => fields);
  expect(told.at(-2)).toMatchObject({ method: "POST", path: "/token", status: 200, source: null });
  expect(told.at(-1)).toMatchObject({ method: "GET", path: "/v1/tasks", status: 401 });
  expect(lines.at(-1)).toMatchObject({ level: "debug", fields: { status: 404, path: "/*" } });
});

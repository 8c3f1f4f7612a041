import { expect, test } from "vitest";
import { startTcpFaultProxy } from "@mayfly/testkit";
import {
  BACKEND,
  grantedOf,
  READER,
  sharedServer,
  startInstallation,
  until,
} from "../harness/index.ts";
import { METRICS, metricsUrlOf, scrape, type Samples } from "./scrape.ts";

const details = {
  type: "mayfly-task",
  goal: "be counted",
  deadline: "10m",
  credentials: [{ role: READER, ttl: "5m" }],
};
const ours = (samples: Samples): readonly string[] =>
  [...samples.keys()].filter((series) => series.startsWith("mayfly_"));

test("broker and worker tell in metrics what happened, and a stranger adds no series", async () => {
  const server = sharedServer();
  const proxy = await startTcpFaultProxy({ host: server.host, port: server.port });
  await using mayfly = await startInstallation({ settings: METRICS });
  const throughProxy = new URL(mayfly.ledgerDatabase.brokerUrl);
  throughProxy.port = String(proxy.port);
  const broker = await mayfly.startBroker({ MAYFLY_DATABASE_URL: throughProxy.href });
  await mayfly.register(broker);
  const worker = await mayfly.startWorker({ MAYFLY_HEALTH_LISTEN: "127.0.0.1:0" });
  const [brokerUrl, workerUrl] = [await metricsUrlOf(broker), await metricsUrlOf(worker)];
  const { port } = JSON.parse(await worker.line("health is served")) as { readonly port: number };
  const healthOf = async (path: string): Promise<unknown> =>
    (await fetch(`http://127.0.0.1:${port}${path}`)).json();
  expect(await healthOf("/healthz")).toMatchObject({ status: "ok" });
  expect(await healthOf("/readyz")).toEqual({
    status: "ready",
    checks: ["process", "ledger", "schema", "queue", "sweep"].map((name) => ({ name, ok: true })),
  });
  expect((await fetch(new URL("/", brokerUrl))).status).toBe(404);
  expect((await fetch(`${broker.api.url}/metrics`)).status).toBe(404);

  const reply = await broker.api.exchange({ subject: mayfly.svid("counted"), details });
  const { taskToken, taskId } = grantedOf(reply);
  await broker.api.exchange({
    subject: mayfly.svid("counted"),
    details: { ...details, credentials: [{ role: "orders-db/none" }] },
  });
  await until("the lease in the gauges", 90_000, async () => {
    const now = await scrape(brokerUrl);
    return now.get(`mayfly_leases{backend="${BACKEND}",state="active"}`) === 1;
  });
  const done = await broker.api.call(taskToken, "POST", `/v1/tasks/${taskId}/complete`, {});
  expect(done.status).toBe(200);

  const ended = `mayfly_lease_ends_total{backend="${BACKEND}",outcome="revoked"}`;
  const seen = await until("the revocation", 90_000, async () => {
    const [a, b] = [await scrape(brokerUrl), await scrape(workerUrl)];
    return (a.get(ended) ?? 0) + (b.get(ended) ?? 0) === 1 ? { a, b } : undefined;
  });
  const revoked = seen.a.has(ended) ? seen.a : seen.b;
  expect(revoked.get(`mayfly_revoke_seconds_count{backend="${BACKEND}"}`)).toBe(1);
  expect(revoked.get(`mayfly_revoke_seconds_sum{backend="${BACKEND}"}`)).toBeLessThan(20);
  expect(seen.a.get('mayfly_exchange_seconds_count{outcome="issued"}')).toBe(1);
  expect(seen.a.get('mayfly_exchange_seconds_count{outcome="denied"}')).toBe(1);
  expect(seen.a.get('mayfly_decisions_total{effect="permit"}')).toBe(1);
  const denials = [...seen.a].filter(([series]) => series.startsWith("mayfly_denials_total{"));
  expect(denials.map(([, count]) => count)).toEqual([1]);
  expect(seen.a.get('mayfly_decisions_total{effect="deny"}')).toBe(1);
  expect(seen.a.get('mayfly_http_requests_total{method="POST",route="/token",status="200"}')).toBe(
    1,
  );
  expect(seen.a.get("mayfly_ledger_up")).toBe(1);
  expect(seen.a.get("mayfly_broker_ready")).toBe(1);
  expect(seen.a.get("mayfly_sealing_keys")).toBe(1);
  expect(seen.a.get("mayfly_signing_key_age_seconds")).toBeGreaterThanOrEqual(0);
  expect(seen.b.get("mayfly_sweep_age_seconds")).toBeLessThan(30);
  expect(seen.b.get('mayfly_sweep_seconds_count{outcome="ok"}')).toBeGreaterThan(0);

  await hammer(broker.api.url);
  const before = ours(await scrape(brokerUrl)).length;
  await hammer(broker.api.url);
  expect(ours(await scrape(brokerUrl))).toHaveLength(before);

  // The ledger hangs: a scrape is answered all the same, and says so.
  proxy.hold();
  const down = await until("a scrape without the ledger", 90_000, async () => {
    const startedMs = performance.now();
    const samples = await scrape(brokerUrl);
    expect(performance.now() - startedMs).toBeLessThan(25_000);
    // An answer about readiness may be a second old.
    const told = [samples.get("mayfly_ledger_up"), samples.get("mayfly_broker_ready")];
    return told.every((up) => up === 0) ? samples : undefined;
  });
  expect([...down.keys()].filter((series) => series.startsWith("mayfly_leases"))).toEqual([]);
  proxy.release();
  await until("the ledger's return", 90_000, async () => {
    return (await scrape(brokerUrl)).get("mayfly_ledger_up") === 1;
  });
  await proxy.stop();
});

/** Random paths, methods, roles, trace headers: all that a stranger can make up. */
async function hammer(url: string): Promise<void> {
  const requests = Array.from({ length: 60 }, async (_, n) => {
    const made = `${n}-${Math.floor(performance.now() * 1000)}`;
    await fetch(`${url}/v1/tasks/task_${made}/complete`, { method: "POST" });
    await fetch(`${url}/${made}/${made}`, { headers: { traceparent: made } });
    await fetch(`${url}/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: made, subject_token: made }),
    });
  });
  await Promise.all(requests);
}

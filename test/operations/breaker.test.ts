import { startTcpFaultProxy } from "@mayfly/testkit";
import { expect, test } from "vitest";
import {
  accepted,
  at,
  BACKEND,
  backendConfig,
  READER,
  sharedServer,
  startInstallation,
  until,
  type Reply,
} from "../harness/index.ts";
import { METRICS, metricsUrlOf, scrape } from "./scrape.ts";

const SOON_MS_MAX = 120_000;
const [CLOSED, ON_TRIAL, OPEN] = [0, 1, 2];

test("a broker tells by its breaker that a backend fails, is tried again, and has recovered", async () => {
  const server = sharedServer();
  const proxy = await startTcpFaultProxy({ host: server.host, port: server.port });
  await using mayfly = await startInstallation({
    settings: METRICS,
    ports: { ledger: server.port, customer: proxy.port },
  });
  // However long nobody could list what there is: that would hold issuing back before the breaker.
  const broker = await mayfly.startBroker({ MAYFLY_LISTING_INTERVAL_SECONDS: "3600" });
  await mayfly.startWorker();
  await mayfly.register(broker);
  const config = {
    ...backendConfig({ ...mayfly.orders, port: proxy.port }),
    limits: { breaker: { failures: 2, open_seconds: 1 } },
  };
  const path = `/v1/backends/${BACKEND}`;
  accepted(await broker.api.admin("PUT", path, { type: "postgres", config }), path);
  const url = await metricsUrlOf(broker);
  const breaker = async (): Promise<number | undefined> =>
    (await scrape(url)).get(`mayfly_backend_breaker{backend="${BACKEND}"}`);
  const open = (): Promise<Reply> =>
    broker.api.exchange({
      subject: mayfly.svid("worker-bee"),
      details: {
        type: "mayfly-task",
        goal: "look at an order",
        deadline: "10m",
        credentials: [{ role: READER, ttl: "5m" }],
      },
    });

  await until("a mint", SOON_MS_MAX, async () => (await open()).status === 200);
  expect(await breaker()).toBe(CLOSED);

  await proxy.refuse();
  await until("the breaker to open", SOON_MS_MAX, async () => {
    expect((await open()).status).not.toBe(200);
    return (await breaker()) === OPEN;
  });

  // It takes connections again and answers nothing: a trial stays under way.
  proxy.hold();
  await proxy.listen();
  await until("a trial", SOON_MS_MAX, async () => {
    let isOver = false;
    const trial = open().finally(() => {
      isOver = true;
    });
    let seen = false;
    while (!isOver && !seen) seen = (await breaker()) === ON_TRIAL;
    if (seen) proxy.release();
    await trial;
    return seen;
  });

  await until("the breaker to close", SOON_MS_MAX, async () => {
    const reply = await open();
    return reply.status === 200 && (await breaker()) === CLOSED && at(reply, "credentials", 0);
  });
  await proxy.stop();
});

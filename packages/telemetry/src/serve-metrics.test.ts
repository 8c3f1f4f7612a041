import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { createRecordingLog } from "@mayfly/testkit";
import { createMetrics } from "./metrics.ts";
import { serveMetrics } from "./serve-metrics.ts";

async function serve() {
  const metrics = createMetrics();
  metrics.add("mayfly_http_connections_refused_total", {}, 0);
  const log = createRecordingLog();
  const listener = await serveMetrics({ host: "127.0.0.1", port: 0 }, metrics, log);
  const get = (path: string, init: RequestInit = {}) => fetch(new URL(path, listener.url), init);
  return { listener, metrics, log, get };
}

test("the format is the scraper's choice, and each is whole", async () => {
  const { listener, get } = await serve();
  const accept =
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
  const asked = await get("/metrics", { headers: { accept } });
  expect(asked.headers.get("content-type")).toMatch(/^application\/openmetrics-text/);
  const text = await asked.text();
  expect(text).toMatch(/\n# EOF\n$/);
  expect(text).toContain("# TYPE mayfly_http_connections_refused counter\n");
  expect(text).toContain("\nmayfly_http_connections_refused_total 0\n");
  expect(text).not.toContain("\n\n");
  const plain = await get("/metrics", { headers: { accept: "text/plain" } });
  expect(plain.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  const lines = (await plain.text()).split("\n");
  expect(lines).toContain("# TYPE mayfly_http_connections_refused_total counter");
  // Node's own, of the library.
  expect(lines.some((line) => line.startsWith("process_resident_memory_bytes "))).toBe(true);
  expect(lines.some((line) => line.startsWith("nodejs_eventloop_lag_p99_seconds "))).toBe(true);
  await listener.close();
});

test("there is nothing else at the address, and nothing is taken there", async () => {
  const { listener, get } = await serve();
  expect((await get("/")).status).toBe(404);
  expect((await get("/metrics/")).status).toBe(404);
  expect((await get("/metrics", { method: "POST", body: "x" })).status).toBe(405);
  expect((await get("/metrics?x=1")).status).toBe(200);
  await listener.close();
});

test("a scraper that sends nothing and one that sends too much hold up no other", async () => {
  const { listener, log, get } = await serve();
  const port = Number(new URL(listener.url).port);
  const silent = connect(port, "127.0.0.1");
  const loud = connect(port, "127.0.0.1");
  loud.on("error", () => undefined).resume();
  const cut = once(loud, "close");
  await once(silent, "connect");
  loud.write(`GET /metrics HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
  expect((await get("/metrics")).status).toBe(200);
  await cut;
  await listener.close();
  silent.destroy();
  expect(log.messages("error")).toEqual([]);
});

import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { findCanaries } from "../canary/canaries.ts";
import { goEverywhere } from "../canary/scenario.ts";
import {
  grantedOf,
  READER,
  startInstallation,
  until,
  type Installation,
} from "../harness/index.ts";
import { startCollector, type Collector } from "./otlp-collector.ts";

const details = {
  type: "mayfly-task",
  goal: "be traced",
  deadline: "10m",
  credentials: [{ role: READER, ttl: "5m" }],
};
const traced = (url: string) => ({
  MAYFLY_TRACES_URL: url,
  MAYFLY_TRACES_HEADERS: "x-collector-token=collector-secret",
});

/** An exchange under a trace of the caller's, who sends `traceparent`. */
async function exchangeUnder(mayfly: Installation, url: string, traceparent: string) {
  const response = await fetch(`${url}/token`, {
    method: "POST",
    headers: { traceparent },
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: mayfly.svid("traced"),
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      authorization_details: JSON.stringify([details]),
    }),
  });
  const text = await response.text();
  const body: unknown = JSON.parse(text);
  return { status: response.status, headers: response.headers, text, body };
}

/** The names of a trace, each with those above it: `request > exchange > ledger.issue.reserve`. */
function pathsOf(collector: Collector, traceId: string): readonly string[] {
  const spans = collector.spans.filter((span) => span.traceId === traceId);
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const path = (id: string): string => {
    const span = byId.get(id);
    if (span === undefined) return "";
    const above = path(span.parentId);
    return above === "" ? span.name : `${above} > ${span.name}`;
  };
  return spans.map(({ spanId }) => path(spanId));
}

test("an exchange and its end are traces: the caller's own id, every step, and no secret", async () => {
  await using collector = await startCollector("takes");
  await using mayfly = await startInstallation({
    settings: { ...traced(collector.url), MAYFLY_LOG_LEVEL: "debug" },
  });
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
  const traceId = randomBytes(16).toString("hex");
  const caller = randomBytes(8).toString("hex");
  const reply = await exchangeUnder(mayfly, broker.api.url, `00-${traceId}-${caller}-01`);
  expect(reply.headers.get("mayfly-trace")).toBe(traceId);
  const { taskToken, taskId, lease } = grantedOf(reply);
  await broker.api.call(taskToken, "POST", `/v1/tasks/${taskId}/complete`, {});

  // The alarm is set beside the reply, not before it: its span may come after the request's.
  const paths = await until("the exchange's trace", 20_000, async () => {
    const seen = pathsOf(collector, traceId);
    const alarm = seen.some((path) => path.endsWith("queue.wake at"));
    return alarm && seen.includes("request") ? seen : undefined;
  });
  const steps = ["verify", "parse", "plan", "decide", "reserve", "issue", "activate"];
  for (const step of steps) {
    expect(
      paths.some((path) => path.includes(`exchange > ${step}`)),
      `${step}: ${paths.join("\n")}`,
    ).toBe(true);
  }
  for (const call of ["issue > backend.issue", "reserve > ledger.issue.reserve", "queue.wake at"]) {
    expect(
      paths.some((path) => path.endsWith(call)),
      `${call} in ${paths.join("\n")}`,
    ).toBe(true);
  }
  const root = collector.spans.find((span) => span.traceId === traceId && span.name === "request");
  expect(root?.parentId).toBe(caller);
  expect(root?.attributes).toMatchObject({ "http.route": "/token" });

  // The worker's passes are traces of their own, found by the lease.
  const ended = await until("the end's span", 20_000, async () =>
    collector.spans.find(
      ({ name, attributes }) => name === "revoke" && attributes["mayfly.lease.id"] === lease,
    ),
  );
  expect(ended.traceId).not.toBe(traceId);
  expect(collector.spans.some(({ service }) => service === "mayfly-worker")).toBe(true);

  const { canaries } = await goEverywhere(mayfly, broker);
  await until("the spans of the scenario", 20_000, async () =>
    collector.spans.some(({ failed, name }) => failed && name === "exchange"),
  );
  await broker.stop();
  const everything = collector.raw().toString("latin1");
  expect(everything).toContain("collector-secret");
  expect(findCanaries(everything, canaries)).toEqual([]);
  // The search would find one.
  const planted = canaries[0]?.bytes.toString("latin1") ?? "";
  expect(findCanaries(everything + planted, canaries)).not.toEqual([]);
  // The collector's own token is in no log.
  expect(broker.output()).not.toContain("collector-secret");
});

test("a malformed traceparent is ignored; each line of a request names its trace", async () => {
  await using mayfly = await startInstallation({ settings: { MAYFLY_LOG_LEVEL: "debug" } });
  const broker = await mayfly.startBroker();
  const known = randomBytes(16).toString("hex");
  const of = async (traceparent: string): Promise<string> => {
    const reply = await fetch(`${broker.api.url}/v1/leases/x`, { headers: { traceparent } });
    const body = (await reply.json()) as { readonly trace?: string };
    expect(body.trace).toBe(reply.headers.get("mayfly-trace"));
    return body.trace ?? "";
  };
  const span = "00f067aa0ba902b7";
  expect(await of(`00-${known}-${span}-01`)).toBe(known);
  expect(await of(`cc-${known}-${span}-00-of-tomorrow`)).toBe(known);
  for (const bad of [
    "",
    "x",
    `00-${known}-${span}`,
    `00-${known}-${span}-01-more`,
    `ff-${known}-${span}-01`,
    `00-${known.toUpperCase().replaceAll(/\d/g, "A")}-${span}-01`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${known}-${"0".repeat(16)}-01`,
    `00-${known}-${span}-01, 00-${known}-${span}-01`,
  ]) {
    const made = await of(bad);
    expect(made, bad).toMatch(/^[0-9a-f]{32}$/);
    expect(made, bad).not.toBe(known);
  }
  await until("the request's line", 90_000, async () =>
    broker.output().includes(`"trace":"${known}"`),
  );
});

test("a collector that hangs, and one that is not there, harm nothing", async () => {
  await using hanging = await startCollector("hangs");
  await using mayfly = await startInstallation();
  const [waits, fails] = [
    await mayfly.startBroker(traced(hanging.url)),
    await mayfly.startBroker(traced("http://127.0.0.1:9/v1/traces")),
  ];
  await mayfly.register(waits);
  const worker = await mayfly.startWorker(traced(hanging.url));
  for (const { api } of [waits, fails]) {
    let least = Number.POSITIVE_INFINITY;
    for (let n = 0; n < 10; n++) {
      const subject = mayfly.svid(`traced-${n}`);
      const startedMs = performance.now();
      expect((await api.exchange({ subject, details })).status).toBe(200);
      least = Math.min(least, performance.now() - startedMs);
    }
    // A request to the collector is given 5 s: who waited for it would wait so long each time.
    expect(least).toBeLessThan(4_000);
  }
  await fails.line("the collector takes no spans", 30_000);
  // What a stop may take is bounded by the process itself, which then ends with another code.
  await Promise.all([waits.stop(), fails.stop(), worker.stop()]);
  for (const one of [waits, fails, worker]) {
    expect((await one.exited).code).toBe(0);
    expect(one.output()).not.toContain('"level":"error"');
  }
});

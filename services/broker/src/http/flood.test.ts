import { describe, expect, it } from "vitest";
import { eventually } from "@mayfly/testkit/vitest";
import { createFakeClock } from "@mayfly/testkit";
import { createBrokerBench } from "../testing/broker-bench.ts";
import { BURST_MAX } from "./exchange-limit.ts";
import {
  bodyOf,
  CONNECTIONS_MAX,
  rawRequest,
  serveBench,
  statusOf,
} from "../testing/served-bench.ts";
import { testCertificate } from "../testing/test-certificate.ts";
import { exchange, opened, tokenForm } from "../testing/token-form.ts";
import { recentLook } from "@mayfly/composition";

const FORM = ["Content-Type", "application/x-www-form-urlencoded"] as const;

/** A readiness that nobody answers until it is let go, and how many asked. */
function heldReadiness() {
  const letGo = Promise.withResolvers<readonly []>();
  let asked = 0;
  return {
    asked: () => asked,
    letGo: () => letGo.resolve([]),
    readiness: (): Promise<readonly []> => {
      asked += 1;
      return letGo.promise;
    },
  };
}

describe("a stranger who sends more than is read", () => {
  it("is cut with 60,000 requests on one connection, and an exchange is answered", async () => {
    const held = heldReadiness();
    await using served = await serveBench({ readiness: held.readiness });
    const stranger = await served.connect();
    const closed = new Promise((resolve) => stranger.socket.once("close", resolve));
    stranger.write("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(60_000));
    const form = tokenForm(served.bench.identities.svid("bot"));
    const answer = await served.send(rawRequest("POST", "/token", [FORM], form));
    expect(statusOf(answer)).toBe(200);
    await closed;
    expect(held.asked()).toBe(8);
    held.letGo();
  });
  it("has 8 requests at once answered, in their order", async () => {
    await using served = await serveBench();
    const connection = await served.connect();
    connection.write(rawRequest("GET", "/healthz", []).repeat(8));
    await eventually(() => expect(connection.received().split("HTTP/1.1 200")).toHaveLength(9));
    connection.write(rawRequest("GET", "/readyz", []).repeat(8));
    await eventually(() => expect(connection.received().split("HTTP/1.1 200")).toHaveLength(17));
    connection.socket.destroy();
  });
  it("gets no more connections than there may be", async () => {
    await using served = await serveBench();
    const connections = await Promise.all(
      Array.from({ length: CONNECTIONS_MAX }, () => served.connect()),
    );
    const oneMore = await served.connect();
    oneMore.write(rawRequest("GET", "/healthz", []));
    expect(await oneMore.answered()).toBe("");
    expect(await served.connections()).toBe(CONNECTIONS_MAX);
    for (const { socket } of connections) socket.destroy();
    await eventually(async () => expect(await served.connections()).toBe(0));
    expect(statusOf(await served.send(rawRequest("GET", "/healthz", [])))).toBe(200);
  });
});

describe("a source", () => {
  const FEW = 3;
  it("gets no more connections than its share, and others get theirs", async () => {
    await using served = await serveBench({ connectionsPerSourceMax: FEW });
    const look = rawRequest("GET", "/healthz", []);
    const held = await Promise.all(Array.from({ length: FEW }, () => served.connect()));
    const oneMore = await served.connect();
    oneMore.write(look);
    expect(await oneMore.answered()).toBe("");
    expect(served.dropped()).toBe(1);
    const other = await served.connect("127.0.0.2");
    other.write(look);
    expect(statusOf(await other.answered())).toBe(200);
    const [first] = held;
    first?.socket.destroy();
    await eventually(async () => expect(statusOf(await served.send(look))).toBe(200));
    for (const { socket } of [...held, other]) socket.destroy();
  });
  it("that is a proxy which is trusted has as many as there may be", async () => {
    const proxies = [{ address: "127.0.0.1", family: "ipv4", prefix: 32 }] as const;
    await using served = await serveBench({ connectionsPerSourceMax: FEW, proxies });
    const held = await Promise.all(Array.from({ length: FEW + 1 }, () => served.connect()));
    for (const connection of held) {
      connection.write(rawRequest("GET", "/healthz", []));
      expect(statusOf(await connection.answered())).toBe(200);
      connection.socket.destroy();
    }
  });
});

describe("a connection that says nothing", () => {
  it.each([
    ["plain", {}],
    ["before a TLS handshake", { tls: testCertificate() }],
  ])("is cut: %s", async (_how, options) => {
    await using served = await serveBench({ ...options, requestMsMax: 1000 });
    const silent = await served.connect();
    await silent.answered();
    await eventually(async () => expect(await served.connections()).toBe(0));
  });
});

describe("as many requests as there may be under way", () => {
  it("have the next one refused at once and unlogged, but no end and no heartbeat", async () => {
    const held = heldReadiness();
    const bench = await createBrokerBench({ readiness: held.readiness });
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    const flood = Array.from({ length: 384 }, () => bench.call("GET", "/readyz"));
    await eventually(() => expect(held.asked()).toBe(384));
    const refused = await exchange(bench, bench.identities.svid("bot"));
    expect(refused).toMatchObject({ status: 503, body: { code: "busy" } });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(bench.log.messages()).not.toContain("request failed");
    const { id, token, leases } = task;
    const ends = [`tasks/${id}/heartbeat`, `leases/${leases[0]}/end`, `tasks/${id}/complete`];
    for (const end of ends) {
      expect((await bench.call("POST", `/v1/${end}`, { token, body: {} })).status).toBe(200);
    }
    expect((await bench.call("GET", "/healthz")).status).toBe(200);
    held.letGo();
    await Promise.all(flood);
    expect((await exchange(bench, bench.identities.svid("bot"))).status).toBe(200);
  });
  it("are not those whose bodies are still to come", async () => {
    const held = heldReadiness();
    await using served = await serveBench({ readiness: held.readiness });
    const { bench } = served;
    const slow = await served.connect();
    const form = tokenForm(bench.identities.svid("bot"));
    const length = ["Content-Length", String(form.length)] as const;
    slow.write(rawRequest("POST", "/token", [FORM, length]) + form.slice(0, 100));
    const flood = Array.from({ length: 384 }, () => bench.call("GET", "/readyz"));
    await eventually(() => expect(held.asked()).toBe(384));
    slow.write(form.slice(100));
    expect(statusOf(await slow.answered())).toBe(503);
    slow.socket.destroy();
    held.letGo();
    await Promise.all(flood);
  });
});

describe("a flood of exchanges", () => {
  /** Exchanges that stand still between two of their steps, as many as are taken. */
  async function flooded() {
    const letGo = Promise.withResolvers<undefined>();
    let held = 0;
    let isHolding = false;
    const reached = async (point: string): Promise<undefined> => {
      if (!isHolding || point !== "issue.before") return;
      held += 1;
      await letGo.promise;
    };
    const served = await serveBench({ failPoints: { reached } });
    const { bench } = served;
    const task = opened(await exchange(bench, bench.identities.svid("first")));
    isHolding = true;
    const flood = Array.from({ length: BURST_MAX }, (_, n) =>
      exchange(bench, bench.identities.svid(`bot-${n}`)),
    );
    await eventually(() => expect(held).toBe(BURST_MAX));
    const drain = async () => {
      isHolding = false;
      letGo.resolve(undefined);
      return Promise.all(flood);
    };
    return { served, bench, task, drain };
  }
  it("has no end, no heartbeat, no renewal and no look at health refused", async () => {
    const { served, bench, task, drain } = await flooded();
    await using _ = served;
    const refused = await exchange(bench, bench.identities.svid("late"));
    expect(refused).toMatchObject({ status: 503, body: { error: "temporarily_unavailable" } });
    expect(refused.headers.get("retry-after")).toBe("1");
    const { id, token, leases } = task;
    const calls = [`tasks/${id}/heartbeat`, `leases/${leases[0]}/end`, `tasks/${id}/complete`];
    for (const call of calls) {
      expect((await bench.call("POST", `/v1/${call}`, { token, body: {} })).status).toBe(200);
    }
    for (const path of ["/healthz", "/readyz", "/jwks"]) {
      expect((await bench.call("GET", path)).status).toBe(200);
    }
    await drain();
  });
  it("is refused before a body is there, and the connection is as good as before", async () => {
    const { served, bench, drain } = await flooded();
    await using _ = served;
    const form = tokenForm(bench.identities.svid("late"));
    const length = ["Content-Length", String(form.length)] as const;
    const connection = await served.connect();
    connection.write(rawRequest("POST", "/token", [FORM, length]));
    const answer = await connection.answered();
    expect(statusOf(answer)).toBe(503);
    expect(answer).toMatch(/^Retry-After: 1\r$/im);
    expect(answer).toMatch(/^Mayfly-Trace: [0-9a-f]{32}\r$/im);
    expect(bodyOf(answer)).toMatchObject({ error: "temporarily_unavailable", code: "busy" });
    connection.write(form, rawRequest("GET", "/healthz", []));
    await eventually(() => expect(connection.received()).toContain("HTTP/1.1 200"));
    connection.socket.destroy();
    expect((await drain()).map(({ status }) => status)).toEqual(Array(BURST_MAX).fill(200));
  });
  it("is none that comes at once and not again: who comes next finds a place, to the last one", async () => {
    const { served, bench, drain } = await flooded();
    await using _ = served;
    const many = (count: number): Promise<readonly number[]> =>
      Promise.all(
        Array.from({ length: count }, (_one, n) =>
          exchange(bench, bench.identities.svid(`next-${n}`)).then(({ status }) => status),
        ),
      );
    expect(await many(100)).toEqual(Array(100).fill(503));
    await drain();
    // In the same millisecond, and when it is looked at what became of who came lately.
    for (let n = 0; n < 3; n++) {
      expect(await many(BURST_MAX)).toEqual(Array(BURST_MAX).fill(200));
      await bench.clock.advance(100);
    }
  });
  it("is over half a second after the last refusal: as many find places as before", async () => {
    const { served, bench, drain } = await flooded();
    await using _ = served;
    const late = (): Promise<number> =>
      exchange(bench, bench.identities.svid("late")).then(({ status }) => status);
    expect(await late()).toBe(503);
    await drain();
    await bench.clock.advance(500);
    const many = await Promise.all(Array.from({ length: BURST_MAX }, late));
    expect(many).toEqual(Array(BURST_MAX).fill(200));
  });
});

it("readiness is looked at once a second, however many ask", async () => {
  const clock = createFakeClock();
  let looks = 0;
  const readiness = recentLook(clock, 1000, async () => {
    looks += 1;
    return looks;
  });
  expect(await Promise.all([readiness(), readiness()])).toEqual([1, 1]);
  await clock.advance(999);
  expect(await readiness()).toBe(1);
  await clock.advance(1);
  expect(await readiness()).toBe(2);
});

import { once } from "node:events";
import { Agent, get, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { eventually } from "@mayfly/testkit/vitest";
import { createTestDpopKey } from "@mayfly/testkit";
import { ADMIN_TOKEN, ISSUER } from "../testing/broker-bench.ts";
import { bodyOf, rawRequest, serveBench, statusOf } from "../testing/served-bench.ts";
import { exchange, nothingMinted, opened, tokenForm } from "../testing/token-form.ts";

const FORM = ["Content-Type", "application/x-www-form-urlencoded"] as const;
const bearer = ["Authorization", `Bearer ${ADMIN_TOKEN}`] as const;

async function headersOf(agent: Agent, port: number | undefined): Promise<IncomingHttpHeaders> {
  const asked = get({ host: "127.0.0.1", port, path: "/healthz", agent });
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "end");
  return response.headers;
}

/** Holds the core at a point until it is let go. */
function heldAt(point: string) {
  const reached = Promise.withResolvers<void>();
  const letGo = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    letGo: () => letGo.resolve(),
    failPoints: {
      reached: async (at: string): Promise<void> => {
        if (at !== point) return;
        reached.resolve();
        await letGo.promise;
      },
    },
  };
}

describe("over a connection", () => {
  it("an exchange is answered, and the connection serves the next one", async () => {
    await using served = await serveBench();
    const form = tokenForm(served.bench.identities.svid("bot"));
    const connection = await served.connect();
    connection.write(rawRequest("POST", "/token", [FORM], form));
    expect(statusOf(await connection.answered())).toBe(200);
    connection.write(rawRequest("GET", "/healthz", []));
    await eventually(() => expect(connection.received()).toContain('{"status":"ok"}'));
    connection.socket.destroy();
  });
  it("the last answer says that it is the last; until then each says how long it may idle", async () => {
    await using served = await serveBench();
    const { socket } = await served.connect();
    const port = socket.remotePort;
    socket.destroy();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const said = new Map<string, number>();
    const REQUESTS = 1001;
    for (let n = 0; n < REQUESTS; n++) {
      // One that was closed without a word would fail the request that met it.
      const { connection, "keep-alive": keepAlive } = await headersOf(agent, port);
      const words = `${connection ?? ""} ${keepAlive?.toString() ?? "alone"}`;
      said.set(words, (said.get(words) ?? 0) + 1);
    }
    agent.destroy();
    expect(Object.fromEntries(said)).toEqual({
      "keep-alive timeout=5, max=1000": REQUESTS - 1,
      "close alone": 1,
    });
  });
  it.each([
    ["declared", [["Content-Length", "200000"]]],
    ["sent in chunks of unknown number", [["Transfer-Encoding", "chunked"]]],
  ] as const)("a body too large, %s, is answered with the limit", async (how, headers) => {
    await using served = await serveBench();
    const connection = await served.connect();
    connection.write(rawRequest("POST", "/token", [FORM, ...headers]));
    const piece = "x".repeat(16 * 1024);
    const chunk = how === "declared" ? piece : `${piece.length.toString(16)}\r\n${piece}\r\n`;
    for (let sent = 0; sent < 12 && !connection.socket.destroyed; sent++) {
      connection.write(chunk);
      await pause(1);
    }
    const answer = await connection.answered();
    expect(statusOf(answer)).toBe(413);
    expect(bodyOf(answer)).toMatchObject({ error: "invalid_request", code: "too_large" });
    connection.socket.destroy();
    expect(nothingMinted(served.bench)).toBe(true);
  });
  it.each([
    ["Authorization", [bearer, bearer], "GET", "/v1/tasks", 401],
    [
      "Authorization, the second one empty",
      [bearer, ["Authorization", ""]],
      "GET",
      "/v1/tasks",
      401,
    ],
    [
      "Idempotency-Key",
      [FORM, ["Idempotency-Key", "a"], ["Idempotency-Key", "b"]],
      "POST",
      "/token",
      400,
    ],
    ["Content-Type", [FORM, ["Content-Type", "application/json"]], "POST", "/token", 400],
  ] as const)("two headers %s are refused", async (_what, headers, method, path, status) => {
    await using served = await serveBench();
    const body = method === "POST" ? tokenForm(served.bench.identities.svid("bot")) : "";
    const answer = await served.send(rawRequest(method, path, headers, body));
    expect(statusOf(answer)).toBe(status);
    expect(nothingMinted(served.bench)).toBe(true);
  });
  it("two DPoP headers are refused, be each of them good", async () => {
    await using served = await serveBench();
    const { clock, identities } = served.bench;
    const key = createTestDpopKey(clock);
    const proof = () => ["DPoP", key.proof("POST", `${ISSUER}/token`)] as const;
    const form = tokenForm(identities.svid("bot"));
    const both = await served.send(rawRequest("POST", "/token", [FORM, proof(), proof()], form));
    expect([statusOf(both), bodyOf(both)]).toMatchObject([400, { error: "invalid_dpop_proof" }]);
    expect(nothingMinted(served.bench)).toBe(true);
    const one = await served.send(rawRequest("POST", "/token", [FORM, proof()], form));
    expect([statusOf(one), bodyOf(one)]).toMatchObject([200, { token_type: "DPoP" }]);
  });
  it("a body that is no UTF-8 is refused at both kinds of API", async () => {
    await using served = await serveBench();
    const bytes = Uint8Array.of(0x61, 0x3d, 0xff, 0xfe);
    const length = ["Content-Length", "4"] as const;
    const token = await served.send(rawRequest("POST", "/token", [FORM, length]), bytes);
    expect(bodyOf(token)).toMatchObject({
      error: "invalid_request",
      error_description: "The body is not valid UTF-8.",
    });
    const json = ["Content-Type", "application/json"] as const;
    const own = await served.send(
      rawRequest("PUT", "/v1/backends/x", [bearer, json, length]),
      bytes,
    );
    expect(bodyOf(own)).toMatchObject({ code: "invalid_request", where: "body" });
  });
  it.each([
    ["a Host that is a URL", "GET / HTTP/1.1\r\nHost: http://a@b/c\r\n\r\n"],
    ["no Host", "GET /healthz HTTP/1.1\r\n\r\n"],
    ["two Hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ["a path that is none", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["a control character in a header", "GET /healthz HTTP/1.1\r\nHost: a\r\nX: \u0001\r\n\r\n"],
    [
      "two lengths",
      "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    ],
    [
      "a length and chunks",
      "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["headers of 40 KiB", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(40 * 1024)}\r\n\r\n`],
    ["nothing of HTTP", "hello\r\n\r\n"],
  ])("%s is refused without a word about the broker", async (_what, text) => {
    await using served = await serveBench();
    const answer = await served.send(text);
    expect(statusOf(answer)).toBeGreaterThanOrEqual(400);
    expect(statusOf(answer)).toBeLessThan(500);
    expect(answer).not.toMatch(/node_modules|\.ts:|Error:/);
    expect(served.bench.log.messages("error")).toEqual([]);
  });
});

describe("a request that takes too long", () => {
  it("gives its backend up at its deadline, and leaves the rest to recover", async () => {
    await using served = await serveBench();
    const { bench } = served;
    bench.upstream.fail("issue", "hang");
    const answer = exchange(bench, bench.identities.svid("bot"));
    await eventually(() => expect(bench.upstream.calls.at(-1)?.operation).toBe("issue"));
    await bench.clock.advance(90_000);
    expect((await answer).status).toBe(503);
    expect(bench.ledger.inspect.leases()[0]).toMatchObject({
      state: "reserved",
      endReason: "the outcome of issue is unknown",
    });
    expect(bench.clock.sleepers).toBe(0);
  });
});

describe("a client that goes away", () => {
  it("in the middle of its body leaves nothing, and no alarm in the log", async () => {
    await using served = await serveBench();
    const form = tokenForm(served.bench.identities.svid("bot"));
    const length = ["Content-Length", String(form.length)] as const;
    const connection = await served.connect();
    connection.write(rawRequest("POST", "/token", [FORM, length]) + form.slice(0, 200));
    await pause(50);
    connection.reset();
    await eventually(async () => expect(await served.connections()).toBe(0));
    await eventually(() => expect(served.bench.log.messages()).toContain("request failed"));
    expect(served.bench.log.messages("error")).toEqual([]);
    expect(nothingMinted(served.bench)).toBe(true);
  });
  it("or is too slow with its body is cut, and leaves nothing", async () => {
    await using served = await serveBench({ requestMsMax: 1000 });
    const connection = await served.connect();
    connection.write(rawRequest("POST", "/token", [FORM, ["Content-Length", "100"]]) + "grant");
    expect(statusOf(await connection.answered())).toBe(408);
    await eventually(async () => expect(await served.connections()).toBe(0));
    expect(served.bench.log.messages("error")).toEqual([]);
    expect(nothingMinted(served.bench)).toBe(true);
  });
  it("while its credential is being minted never gets it: the lease is ended", async () => {
    const held = heldAt("issue.after");
    await using served = await serveBench({ failPoints: held.failPoints });
    const form = tokenForm(served.bench.identities.svid("bot"));
    const connection = await served.connect();
    connection.write(rawRequest("POST", "/token", [FORM], form));
    await held.reached;
    connection.reset();
    await eventually(async () => expect(await served.connections()).toBe(0));
    held.letGo();
    const { ledger, core } = served.bench;
    await eventually(() => {
      const [lease] = ledger.inspect.leases();
      expect(lease).toMatchObject({ endReason: "the reply did not reach the agent" });
    });
    await core.sweep(served.bench.context());
    await eventually(() => expect(served.bench.upstream.all()).toEqual([]));
    expect(ledger.inspect.leases()[0]).toMatchObject({ state: "ended", outcome: "revoked" });
  });
  it("while its task is being ended ends it all the same", async () => {
    await using served = await serveBench();
    const { bench } = served;
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    bench.upstream.fail("revoke", "hang", 100);
    const connection = await served.connect();
    const json = ["Content-Type", "application/json"] as const;
    const token = ["Authorization", `Bearer ${task.token}`] as const;
    connection.write(
      rawRequest("POST", `/v1/tasks/${task.id}/complete`, [token, json], '{"wait":"60s"}'),
    );
    await eventually(() =>
      expect(bench.upstream.calls.some(({ operation }) => operation === "revoke")).toBe(true),
    );
    connection.reset();
    await eventually(() =>
      expect(bench.log.messages()).toContain("an end was answered before all its leases had ended"),
    );
    expect(bench.ledger.inspect.tasks()[0]).toMatchObject({ state: "completed" });
  });
});

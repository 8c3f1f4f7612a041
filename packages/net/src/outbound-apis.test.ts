import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { systemClock } from "@mayfly/host";
import type { ApiOutcome, ApiRequest, ApiTarget, CallContext, OutboundApi } from "@mayfly/spec";
import { startTcpFaultProxy } from "@mayfly/testkit";
import { afterEach, expect, test } from "vitest";
import { createOutboundApis } from "./outbound-apis.ts";

const put: ApiRequest = { method: "PUT", path: "/x", headers: {}, body: "{}" };
const open: (OutboundApi | Server)[] = [];
const contextOf = (signal = new AbortController().signal): CallContext => ({
  clock: systemClock,
  signal,
  traceId: "test",
});

afterEach(async () => {
  for (const one of open.splice(0)) {
    if ("closeAllConnections" in one) one.closeAllConnections();
    await one.close();
  }
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  open.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  return address.port;
}

function apiAt(port: number, more: { timeoutMs?: number; connections?: number } = {}): OutboundApi {
  const api = createOutboundApis().open({
    origin: `http://127.0.0.1:${port}`,
    tls: false,
    connections: more.connections ?? 1,
    timeoutMs: more.timeoutMs ?? 10_000,
    maxBytes: 1_000,
  });
  open.push(api);
  return api;
}

test("an answer comes with its status, its headers and its text, a redirect too", async () => {
  const port = await serve((_, answer) => {
    answer.writeHead(302, { location: "http://elsewhere.test/", "retry-after": "7" }).end("there");
  });
  const outcome = await apiAt(port).send(put, contextOf());
  expect(outcome).toMatchObject({ kind: "answer", status: 302, text: "there" });
  expect(outcome.kind === "answer" && outcome.headers["retry-after"]).toBe("7");
});

test("nothing is sent by TLS to who has no trusted certificate of that name", async () => {
  const fixture = (name: string): string =>
    readFileSync(new URL(`__fixtures__/localhost.${name}.pem`, import.meta.url), "utf8");
  const ca = fixture("cert");
  const server = createTlsServer({ cert: ca, key: fixture("key") }, (_, answer) =>
    answer.end("ok"),
  );
  open.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sendTo = (host: string, tls: ApiTarget["tls"]): Promise<ApiOutcome> => {
    const target = { origin: `https://${host}:${port}`, tls, connections: 1 };
    const api = createOutboundApis().open({ ...target, timeoutMs: 10_000, maxBytes: 1_000 });
    open.push(api);
    return api.send(put, contextOf());
  };
  expect(await sendTo("127.0.0.1", { rejectUnauthorized: true, ca })).toMatchObject({
    kind: "answer",
  });
  expect((await sendTo("127.0.0.1", { rejectUnauthorized: true })).kind).toBe("not_sent");
  expect((await sendTo("localhost", { rejectUnauthorized: true, ca })).kind).toBe("not_sent");
  expect((await sendTo("127.0.0.1", { rejectUnauthorized: false })).kind).toBe("answer");
});

test("what nobody listens for is not sent", async () => {
  const port = await serve(() => undefined);
  const [server] = open.splice(0);
  await server?.close();
  expect(await apiAt(port).send(put, contextOf())).toEqual({
    kind: "not_sent",
    why: "ECONNREFUSED",
  });
});

test("what was written and not answered is lost: cut, late, aborted, or too much", async () => {
  let reached = 0;
  const port = await serve((incoming, answer) => {
    reached++;
    if (incoming.url === "/cut") answer.socket?.resetAndDestroy();
    if (incoming.url === "/big") answer.end("x".repeat(1_001));
  });
  const caller = new AbortController();
  const late = apiAt(port, { timeoutMs: 200 });
  const outcomes = [
    await late.send({ ...put, path: "/cut" }, contextOf()),
    await late.send({ ...put, path: "/never" }, contextOf()),
    await late.send({ ...put, path: "/big" }, contextOf()),
  ];
  const aborted = apiAt(port).send({ ...put, path: "/never" }, contextOf(caller.signal));
  while (reached < 4) await systemClock.sleep(5);
  caller.abort(new Error("the caller's deadline"));
  expect([...outcomes, await aborted].map(({ kind }) => kind)).toEqual(Array(4).fill("lost"));
  // Sent once each, idempotent or not.
  expect(reached).toBe(4);
});

test("beforeSend runs when the request's turn has come, and what it throws stops it", async () => {
  const paths: (string | undefined)[] = [];
  let answerFirst = (): void => undefined;
  const port = await serve((incoming, answer) => {
    paths.push(incoming.url);
    answerFirst = () => answer.end("{}");
  });
  const api = apiAt(port, { connections: 1 });
  let asked = 0;
  const first = api.send({ ...put, path: "/first" }, contextOf());
  const second = api.send(
    {
      ...put,
      path: "/second",
      beforeSend: () => {
        asked++;
        throw new Error("past its deadline");
      },
    },
    contextOf(),
  );
  second.catch(() => undefined);
  while (paths.length === 0) await systemClock.sleep(5);
  expect(asked).toBe(0);
  answerFirst();
  await first;
  await expect(second).rejects.toThrow("past its deadline");
  expect(asked).toBe(1);
  expect(paths).toEqual(["/first"]);
});

test("who waits for a turn may give up, and takes no time from the request's own", async () => {
  const paths: (string | undefined)[] = [];
  const port = await serve((incoming, answer) => {
    paths.push(incoming.url);
    if (incoming.url !== "/slow") answer.end("{}");
  });
  const api = apiAt(port, { connections: 1, timeoutMs: 300 });
  const slow = api.send({ ...put, path: "/slow" }, contextOf());
  const caller = new AbortController();
  const leaving = api.send({ ...put, path: "/leaving" }, contextOf(caller.signal));
  const patient = api.send({ ...put, path: "/patient" }, contextOf());
  caller.abort(new Error("the caller's deadline"));
  expect((await leaving).kind).toBe("not_sent");
  expect((await slow).kind).toBe("lost");
  expect((await patient).kind).toBe("answer");
  expect(paths).toEqual(["/slow", "/patient"]);
});

test("a kept connection that has died meanwhile is no failure", async () => {
  const port = await serve((_, answer) => answer.end("{}"));
  const proxy = await startTcpFaultProxy({ host: "127.0.0.1", port });
  const api = apiAt(proxy.port);
  expect((await api.send(put, contextOf())).kind).toBe("answer");
  proxy.reset();
  const outcome = await api.send(put, contextOf());
  // Lost where the reset comes after the request was written: that is not for us to repeat.
  expect(["answer", "lost"]).toContain(outcome.kind);
  expect((await api.send(put, contextOf())).kind).toBe("answer");
  await proxy.stop();
});

test("closing ends what is under way as lost", async () => {
  let reached = 0;
  const port = await serve(() => {
    reached++;
  });
  const api = apiAt(port);
  const sending = api.send(put, contextOf());
  while (reached === 0) await systemClock.sleep(5);
  await api.close();
  expect((await sending).kind).toBe("lost");
});

test.each(["http://169.254.169.254", "http://[fd00:ec2::254]", "http://[::ffff:169.254.169.254]"])(
  "nothing is sent to %s, where a cloud would answer with keys of its own",
  async (origin) => {
    const target = {
      origin,
      tls: false,
      connections: 1,
      timeoutMs: 2_000,
      maxBytes: 1_000,
    } as const;
    const api = createOutboundApis().open(target);
    open.push(api);
    const outcome = await api.send(put, contextOf());
    expect(outcome.kind === "not_sent" && outcome.why).toContain("its address is not one that");
  },
);

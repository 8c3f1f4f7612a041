import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AgentBundles, AgentSvid, CallContext, WorkloadApi } from "@mayfly/spec";
import {
  createFakeClock,
  createRecordingLog,
  createTestX509Authority,
  startTcpFaultProxy,
  type FakeClock,
  type RecordingLog,
} from "@mayfly/testkit";
import { agentAddress } from "./agent-address.ts";
import { startTestAgent, type TestAgent } from "./testing/test-agent.ts";
import { createWorkloadApi } from "./workload-api.ts";

let folder: string;
let clock: FakeClock;
let log: RecordingLog;
let agent: TestAgent;
let api: WorkloadApi;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-agent-"));
  clock = createFakeClock();
  log = createRecordingLog();
  agent = await startTestAgent(join(folder, "agent.sock"));
  api = createWorkloadApi({ socket: agent.socket, clock, log });
});
afterEach(async () => {
  await api.close();
  await agent[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const context = (): CallContext => ({
  clock,
  signal: new AbortController().signal,
  traceId: "trace",
});
const bytes = (text: string): Uint8Array => Buffer.from(text);
const tellX509 = (bundles: Record<string, Uint8Array>): void =>
  agent.tell("FetchX509Bundles", { bundles });
const tellJwt = (bundles: Record<string, Uint8Array>): void =>
  agent.tell("FetchJWTBundles", { bundles });
const textsIn = ({ x509, jwt }: AgentBundles): unknown => ({
  x509: Object.fromEntries([...x509].map(([name, der]) => [name, Buffer.from(der).toString()])),
  jwt: Object.fromEntries([...jwt].map(([name, json]) => [name, Buffer.from(json).toString()])),
});

/** Real sockets answer when they do: looks until it holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
const newest = (): unknown => {
  const followed = api.bundles();
  return followed === null ? null : textsIn(followed.newest);
};
const shown = (value: unknown): string => JSON.stringify(value);

describe("bundles", () => {
  it("of all trust domains are there once both kinds were told", async () => {
    expect(api.bundles()).toBeNull();
    const first = api.firstBundles(context());
    tellX509({ "spiffe://acme.test": bytes("a"), "spiffe://other.test": bytes("b") });
    tellJwt({ "spiffe://acme.test": bytes("{}") });
    const followed = await first;
    expect(textsIn(followed.newest)).toEqual({
      x509: { "acme.test": "a", "other.test": "b" },
      jwt: { "acme.test": "{}" },
    });
    expect(followed.lostAtMs).toBeNull();
    expect([agent.opened("FetchX509Bundles"), agent.opened("FetchJWTBundles")]).toEqual([1, 1]);
  });

  it("are replaced whole by each message: what it leaves out is gone", async () => {
    tellX509({ "spiffe://acme.test": bytes("a"), "spiffe://other.test": bytes("b") });
    tellJwt({});
    await api.firstBundles(context());
    tellX509({ "spiffe://other.test": bytes("c") });
    const wanted = shown({ x509: { "other.test": "c" }, jwt: {} });
    await until(() => shown(newest()) === wanted);
    expect(shown(newest())).toBe(wanted);
  });

  it("that are not told in time are none", async () => {
    const first = api.firstBundles(context()).catch((error: unknown) => String(error));
    await until(() => agent.opened("FetchJWTBundles") === 1);
    await clock.advance(5000);
    expect(await first).toContain("has told no bundles");
  });

  it("are kept while a stream is away, which is told, and followed again after it", async () => {
    tellX509({ "spiffe://acme.test": bytes("a") });
    tellJwt({});
    await api.firstBundles(context());
    agent.fail("FetchX509Bundles", status.UNAVAILABLE);
    await until(() => api.bundles()?.lostAtMs !== null);
    expect(api.bundles()?.lostAtMs).toBe(clock.monotonicMs());
    // What the other stream tells makes this one no less lost.
    tellJwt({ "spiffe://acme.test": bytes("{}") });
    await until(() => shown(newest()).includes("{}"));
    expect(api.bundles()?.lostAtMs).not.toBeNull();
    tellX509({ "spiffe://acme.test": bytes("d") });
    await until(() => log.messages("warn").length === 1);
    await clock.advance(500);
    await until(() => api.bundles()?.lostAtMs === null);
    expect(newest()).toEqual({ x509: { "acme.test": "d" }, jwt: { "acme.test": "{}" } });
    expect(agent.opened("FetchX509Bundles")).toBe(2);
  });

  it("are asked for again with a growing pause, and no more where asking is of no use", async () => {
    api.bundles();
    await until(() => agent.opened("FetchX509Bundles") === 1);
    for (const [n, waitMs] of [500, 1000, 2000].entries()) {
      agent.fail("FetchX509Bundles", status.PERMISSION_DENIED);
      await until(() => log.messages("warn").length === n + 1);
      await clock.advance(waitMs - 1);
      expect(agent.opened("FetchX509Bundles")).toBe(n + 1);
      await clock.advance(1);
      await until(() => agent.opened("FetchX509Bundles") === n + 2);
    }
    agent.fail("FetchX509Bundles", status.INVALID_ARGUMENT);
    await until(() => log.messages("error").length === 1);
    expect(log.messages("error")).toEqual(["the SPIFFE agent refuses a stream for good"]);
  });

  it("of an agent that hangs are lost like those of one that is away", async () => {
    await using hanging = await startTestAgent("tcp");
    const port = Number(new URL(hanging.socket).port);
    const between = await startTcpFaultProxy({ host: "127.0.0.1", port });
    const keepalive = { pingMs: 500, answerMs: 1500 };
    const socket = `tcp://127.0.0.1:${between.port}`;
    const followed = createWorkloadApi({ socket, clock, log, keepalive });
    try {
      hanging.tell("FetchX509Bundles", { bundles: { "spiffe://acme.test": bytes("a") } });
      hanging.tell("FetchJWTBundles", { bundles: {} });
      expect((await followed.firstBundles(context())).lostAtMs).toBeNull();
      between.strand();
      await until(() => followed.bundles()?.lostAtMs !== null);
      expect(log.messages("warn")).toContain(
        "a stream of the SPIFFE agent ended; it is opened again",
      );
      while (followed.bundles()?.lostAtMs !== null) {
        await clock.advance(500);
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      await followed.close();
      await between.stop();
    }
  });

  it("that cannot be read are not taken, and the ones before stay", async () => {
    tellX509({ "spiffe://acme.test": bytes("a") });
    tellJwt({});
    await api.firstBundles(context());
    tellX509({ "spiffe://ACME.test/path": bytes("x") });
    await until(() => log.messages("error").length === 1);
    expect(newest()).toEqual({ x509: { "acme.test": "a" }, jwt: {} });
  });
});

describe("an SVID of one's own", () => {
  it("is told at once, and again each time that it is replaced", async () => {
    const authority = createTestX509Authority({ clock });
    const seen: AgentSvid[] = [];
    const svidMessage = (path: string): object => {
      const { chain, privateKey } = authority.intermediate().issue();
      return {
        svids: [
          {
            spiffe_id: `spiffe://acme.test/${path}`,
            x509_svid: Buffer.concat(chain),
            x509_svid_key: privateKey.export({ format: "der", type: "pkcs8" }),
            bundle: authority.der,
          },
        ],
      };
    };
    agent.tell("FetchX509SVID", svidMessage("one"));
    api.followSvid((svid) => seen.push(svid));
    await until(() => seen.length === 1);
    expect(seen[0]?.chain).toHaveLength(2);
    expect(seen[0]?.privateKey.expose("crypto")).toContain("BEGIN PRIVATE KEY");
    agent.tell("FetchX509SVID", svidMessage("two"));
    await until(() => seen.length === 2);
    expect(seen.map(({ spiffeId }) => spiffeId)).toEqual([
      "spiffe://acme.test/one",
      "spiffe://acme.test/two",
    ]);
  });

  it("that cannot be read is not told, and no part of it is logged", async () => {
    const seen: AgentSvid[] = [];
    const key = bytes("canary-key");
    const message = { spiffe_id: "spiffe://acme.test/x", x509_svid: key, x509_svid_key: key };
    agent.tell("FetchX509SVID", { svids: [message] });
    api.followSvid((svid) => seen.push(svid));
    await until(() => log.messages("error").length === 1);
    expect(seen).toEqual([]);
    expect(JSON.stringify(log.entries)).not.toContain("canary");
  });
});

describe("the agent's address", () => {
  it.each([
    ["unix:///run/spire/agent.sock", "unix:///run/spire/agent.sock"],
    ["tcp://127.0.0.1:8081", "dns:127.0.0.1:8081"],
    ["tcp://[::1]:8081", "dns:[::1]:8081"],
  ])("%s is one", (socket, target) => {
    expect(agentAddress(socket)).toBe(target);
  });

  it.each(["", "/run/agent.sock", "unix:agent.sock", "tcp://agent:8081", "http://127.0.0.1:1"])(
    "%j is none",
    (socket) => {
      expect(() => agentAddress(socket)).toThrow(/Workload API endpoint/);
    },
  );
});

import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import { BrokerError } from "@mayfly/spec";
import {
  createRecordingLog,
  createTestBackendHost,
  createTestX509Authority,
} from "@mayfly/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { vaultBackend } from "./vault-backend.ts";

/** A sealed server says so to whoever asks, and nothing else is needed to see who it is. */
const HEALTH = {
  initialized: true,
  sealed: true,
  server_time_utc: 1_800_000_000,
  version: "2.6.2",
};
const years = { from: Date.UTC(2020), until: Date.UTC(2100) };
const authority = createTestX509Authority({ clock: systemClock, change: years });
const stranger = createTestX509Authority({ clock: systemClock, change: years });
const seen: (string | undefined)[] = [];
let server: Server;

beforeAll(async () => {
  const names = [{ iPAddress: "127.0.0.1" }];
  const { pem } = authority.issue({ ...years, names, subject: "vault" });
  server = createServer({ cert: pem.cert, key: pem.key }, (request, answer) => {
    seen.push(request.url);
    answer.writeHead(503, { "content-type": "application/json" }).end(JSON.stringify(HEALTH));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Codes of the problems that are found at the server, which is trusted by these settings. */
async function problemsBy(settings: object): Promise<readonly string[]> {
  const host = createTestBackendHost({
    clock: systemClock,
    random: systemRandom,
    log: createRecordingLog(),
    apis: createOutboundApis(),
  });
  const { port } = server.address() as AddressInfo;
  const at = { host: "127.0.0.1", port, login: { token: "canary-of-nobody" } };
  const open = vaultBackend.open(vaultBackend.parseConfig({ ...at, ...settings }), host);
  const signal = new AbortController().signal;
  try {
    const { problems } = await open.selfCheck([], { clock: systemClock, signal, traceId: "tls" });
    return problems.map(({ code }) => code);
  } finally {
    await open.close();
  }
}
const refusal = async (settings: object): Promise<unknown> =>
  problemsBy(settings).catch((thrown: unknown) => thrown);

test("a server whose certificate the configured authority signed is spoken to", async () => {
  expect(await problemsBy({ ca: authority.pem })).toEqual(["sealed"]);
});

test("a server that nobody vouches for, or another authority, is told nothing", async () => {
  const before = seen.length;
  for (const settings of [{}, { ca: stranger.pem }]) {
    expect(BrokerError.is(await refusal(settings))).toBe(true);
  }
  expect(seen).toHaveLength(before);
});

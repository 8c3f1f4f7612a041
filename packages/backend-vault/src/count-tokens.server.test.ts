import { revoking, type BackendBench } from "@mayfly/testkit/contract";
import type { Issued } from "@mayfly/spec";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readTokenFile } from "./broker-session.ts";
import { readHandle } from "./lease-mark.ts";
import { closeLane, openLane } from "./open-lane.ts";
import { serverSettings } from "./server-settings.ts";
import { startFakeVault, type FakeVault } from "./testing/fake-vault.ts";
import {
  TOKEN_ROLE,
  brokerToken,
  prepareVault,
  startVaultBench,
  startVaultUpstream,
  useToken,
} from "./testing/vault-upstream.ts";

const MANY = 30;
const ALL = "GET /v1/sys/leases/lookup/auth/token/create/?list=true";

let server: FakeVault;
let bench: BackendBench;
let config: unknown;
let stop: () => Promise<void>;
beforeEach(async () => {
  server = await startFakeVault();
  await prepareVault(server);
  const upstream = await startVaultUpstream(server, { role: TOKEN_ROLE, use: useToken(server) });
  ({ config } = upstream);
  const started = await startVaultBench(upstream);
  bench = started.bench;
  stop = () => started.stop();
});
afterEach(() => stop?.());

const issueMany = (count: number): Promise<readonly Issued[]> =>
  Promise.all(
    Array.from({ length: count }, () =>
      bench.open.issue(bench.plan(600), bench.issueCall({ seconds: 60 })),
    ),
  );
/** Of all at once; and what the server was asked meanwhile. */
async function probeAll(issued: readonly Issued[]): Promise<{
  readonly verdicts: readonly string[];
  readonly asked: readonly string[];
}> {
  server.asked.length = 0;
  const verdicts = await Promise.all(
    issued.map(
      async ({ handle }) => (await revoking(bench.open).probe(handle, bench.call())).verdict,
    ),
  );
  return { verdicts, asked: server.asked.filter((line) => line.includes("/sys/leases/lookup/")) };
}
const revokeAll = async (issued: readonly Issued[]): Promise<void> => {
  for (const { handle } of issued) await revoking(bench.open).revoke(handle, bench.call());
};

test("many are counted by one listing, and of those who are not on it nobody is asked", async () => {
  const issued = await issueMany(MANY);
  const living = issued.filter((_, nth) => nth % 10 === 9);
  await revokeAll(issued.filter((each) => !living.includes(each)));
  const { verdicts, asked } = await probeAll(issued);
  expect(verdicts).toEqual(issued.map((each) => (living.includes(each) ? "accepted" : "refused")));
  expect(asked.filter((line) => line === ALL)).toHaveLength(1);
  expect(asked.length).toBeLessThan(MANY / 2);
});

test("a listing that is refused proves nothing: each is asked by itself", async () => {
  const issued = await issueMany(MANY);
  const living = issued.filter((_, nth) => nth % 2 === 1);
  await revokeAll(issued.filter((each) => !living.includes(each)));
  let isSpoiled = false;
  await brokerToken(server, [bench.host], [TOKEN_ROLE], (policy) => {
    const without = policy.replace('"sys/leases/lookup/auth/token/create/"', '"elsewhere"');
    isSpoiled = without !== policy;
    return without;
  });
  expect(isSpoiled).toBe(true);
  const { verdicts, asked } = await probeAll(issued);
  expect(verdicts).toEqual(issued.map((each) => (living.includes(each) ? "accepted" : "refused")));
  expect(asked).toContain(ALL);
  expect(new Set(asked.filter((line) => line !== ALL)).size).toBe(MANY);
});

test("a listing that was mostly of others is worth another once as much was counted without it", async () => {
  for (let nth = 0; nth < 900; nth++) {
    const path = `auth/token/create/other-${nth}`;
    server.state.makeToken({ policies: [], path, parent: null, ttlMs: 600_000, uses: 0 });
  }
  const issued = await issueMany(20);
  const names = issued.map(({ handle }) => readHandle(handle).name);
  const { signal } = new AbortController();
  const lane = openLane(serverSettings.parse(config), bench.host, signal, readTokenFile);
  const listings: number[] = [];
  for (let round = 0; round < 4; round++) {
    server.asked.length = 0;
    const counts = await Promise.all(names.map((name) => lane.tokens.run(name, signal)));
    expect(counts).toEqual(names.map(() => ({ kind: "counted", tokens: 1 })));
    listings.push(server.asked.filter((line) => line === ALL).length);
  }
  await closeLane(lane);
  // Eight leave at once, and twelve together: 64 lines for each of these are 768.
  expect(listings).toEqual([1, 0, 1, 0]);
});

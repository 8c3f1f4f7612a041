import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { revoking } from "@mayfly/testkit/contract";
import { expect, test } from "vitest";
import { startFakeVault } from "./testing/fake-vault.ts";
import { startRealVault } from "./testing/vault-server.ts";
import {
  TOKEN_ROLE,
  listOf,
  prepareVault,
  startVaultBench,
  startVaultUpstream,
  useToken,
} from "./testing/vault-upstream.ts";

const program = await requireOrExplain("openbao");
/** In full: 1000. */
const MANY = Number(process.env["VAULT_TEST_LEASES"] ?? "60");

test("leases that are due at once are all revoked, and nothing of them is left", async () => {
  const server = await (program === undefined ? startFakeVault() : startRealVault());
  await prepareVault(server);
  const upstream = await startVaultUpstream(server, { role: TOKEN_ROLE, use: useToken(server) });
  const started = await startVaultBench(upstream);
  const { bench } = started;
  try {
    const issued = await Promise.all(
      Array.from({ length: MANY }, () =>
        bench.open.issue(bench.plan(600), bench.issueCall({ seconds: 200 })),
      ),
    );
    expect(await upstream.liveNames()).toHaveLength(MANY);
    const open = revoking(bench.open);
    const began = systemClock.monotonicMs();
    const verdicts = await Promise.all(
      issued.map(async ({ handle }) => {
        await open.revoke(handle, bench.call());
        return (await open.probe(handle, bench.call())).verdict;
      }),
    );
    const seconds = (systemClock.monotonicMs() - began) / 1_000;
    expect(new Set(verdicts)).toEqual(new Set(["refused"]));
    expect(await upstream.liveNames()).toEqual([]);
    expect(await listOf(server, "auth/token/roles")).toEqual([]);
    process.stderr.write(`${MANY} leases of Vault ended in ${seconds.toFixed(1)} s\n`);
  } finally {
    await started.stop();
  }
}, 240_000);

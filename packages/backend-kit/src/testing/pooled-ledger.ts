import { systemClock, systemRandom } from "@mayfly/host";
import { openLedger, type Ledger } from "@mayfly/postgres";
import { parseBackendId, type PoolingHost } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";

/** By which a process of a test is told where its ledger is, and of which backend it is. */
export const POOL_LEDGER = "POOL_TEST_LEDGER";

export interface PoolLedgerAt {
  readonly url: string;
  readonly backend: string;
}

/** A host whose slots are kept by a real ledger, as all processes of an installation have it. */
export async function openPoolLedger({
  url,
  backend,
}: PoolLedgerAt): Promise<{ readonly host: PoolingHost; readonly ledger: Ledger }> {
  const [clock, random, log] = [systemClock, systemRandom, createRecordingLog()];
  const ledger = await openLedger({ url, clock, random, log, applicationName: "pool-test" });
  const host = createTestBackendHost({
    clock,
    random,
    log,
    installation: "contract",
    quarantineSeconds: 1,
    slots: ledger.backendSlots.of(parseBackendId(backend, "backend")),
  });
  return { host, ledger };
}

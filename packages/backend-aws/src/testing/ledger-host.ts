import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import { openLedger, type Ledger } from "@mayfly/postgres";
import { parseBackendId, type PoolingHost } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";

/** By which a process of a test is told where its ledger is. */
export const LEDGER_URL = "AWS_TEST_LEDGER_URL";

export interface LedgerHost {
  readonly host: PoolingHost;
  readonly ledger: Ledger;
}

/** A host whose names are kept by a real ledger, as all processes of an installation have it. */
export async function openLedgerHost(url = process.env[LEDGER_URL] ?? ""): Promise<LedgerHost> {
  const log = createRecordingLog();
  const ledger = await openLedger({
    url,
    clock: systemClock,
    random: systemRandom,
    log,
    applicationName: "aws-test",
  });
  const host = createTestBackendHost({
    clock: systemClock,
    random: systemRandom,
    log,
    apis: createOutboundApis(),
    installation: "contract",
    quarantineSeconds: 1,
    names: ledger.backendNames.of(parseBackendId("tested-backend", "backend")),
  });
  return { host, ledger };
}

import { Secret } from "@mayfly/spec";
import { awsBackend } from "../aws-backend.ts";
import { openLedgerHost } from "./ledger-host.ts";

/** A program that ends leases, as a worker does: all at once, each until it is refused. */
const { config, handles } = JSON.parse(process.argv[2] ?? "") as {
  readonly config: unknown;
  readonly handles: readonly string[];
};
const { host, ledger } = await openLedgerHost();
const { clock } = host;
const open = awsBackend.open(awsBackend.parseConfig(config), host);

async function end(handle: string): Promise<void> {
  if (open.revocation !== "propagating") throw new TypeError("AWS revokes so");
  for (;;) {
    const context = { clock, signal: AbortSignal.timeout(30_000), traceId: "revoke-process" };
    const outcome = await open.revoke(Secret.of(handle), context).catch(() => null);
    if (outcome?.outcome === "refused") return;
    await clock.sleep(200);
  }
}

await Promise.all(handles.map(end));
await open.close();
await ledger.close();

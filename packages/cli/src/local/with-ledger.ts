import { createJsonLog } from "@mayfly/host";
import { openLedger, type Ledger } from "@mayfly/postgres";
import type { Session } from "../session.ts";

/** The ledger itself, for as long as `use` runs, with whatever rights the URL has. */
export async function withLedger<T>(
  session: Session,
  url: string,
  use: (ledger: Ledger) => Promise<T>,
): Promise<T> {
  const { clock, random } = session.io;
  const ledger = await openLedger({
    url,
    clock,
    random,
    log: createJsonLog({ level: "silent", stream: { write: () => true }, clock }),
    applicationName: "mayfly-cli",
    connections: { commits: 1, statements: 1, queries: 1 },
  });
  try {
    return await use(ledger);
  } finally {
    await ledger.close();
  }
}

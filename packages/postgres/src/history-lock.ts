import { BrokerError } from "@mayfly/spec";
import { faultOf } from "./faults.ts";
import { connect, CONNECTION_LIMITS } from "./sql.ts";

export interface HistoryLock {
  /** Throws `ledger_unavailable` once its connection was lost: another one may hold it now. */
  mustHold(): void;
  release(): Promise<void>;
}

/** Autovacuum takes the same lock for a moment, and lets go of it for whoever waits. */
const WAIT_MS = 2000;

/**
 * Two that change the history at once, retentions or erasures, would work on the same rows and
 * write over each other's files. Held until released, or until its connection ends. A lock of a
 * table that readers do not collide with and that nobody but its owner may take; an advisory lock
 * would be anybody's to take. Throws `conflict` where it is held.
 */
export async function lockHistory(url: string): Promise<HistoryLock> {
  const sql = connect(url, "mayfly-history-lock", 1, {
    ...CONNECTION_LIMITS,
    lockTimeoutMs: WAIT_MS,
    idleInTransactionMs: 0,
    keepsConnections: true,
  });
  const held = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  let isLost = false;
  const holding = sql
    .begin(async (tx) => {
      await tx`SET LOCAL ROLE mayfly_migrator`;
      await tx`LOCK TABLE mayfly.log_cuts IN SHARE UPDATE EXCLUSIVE MODE`;
      held.resolve();
      await released.promise;
    })
    .catch((error: unknown) => {
      isLost = true;
      held.reject(error);
    });
  try {
    await held.promise;
  } catch (error) {
    await sql.end({ timeout: 1 });
    if (faultOf(error)?.code !== "55P03") throw error;
    throw new BrokerError("conflict", "A retention or an erasure of this ledger is under way.", {
      where: "ledger",
    });
  }
  return {
    mustHold: () => {
      if (!isLost) return;
      throw new BrokerError("ledger_unavailable", "The connection that kept others out is lost.", {
        where: "ledger",
        public: { hint: "What was done stays done. Run it again." },
      });
    },
    release: async () => {
      released.resolve();
      await holding;
      await sql.end({ timeout: 1 });
    },
  };
}

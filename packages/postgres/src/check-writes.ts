import { BrokerError } from "@mayfly/spec";
import { faultOf, LedgerFault, toBrokerError } from "./faults.ts";
import { withinCall, type RetryPorts } from "./retry.ts";
import type { Sql, Statement } from "./sql.ts";
import { refusalCode, type WorkRefusals } from "./work-refusals.ts";

/** What real work met says how it is for this long, if nothing was committed since. */
const REFUSED_MS = 10_000;
/** Places in the server's table of locks: a transaction of an exchange was seen with 88 locks. */
const LOCKS = 96;

/**
 * Whether the ledger takes work now: throws `ledger_unavailable` where it does not. Reading proves
 * nothing of it: a session that is open reads on while the server has no lock, no connection and no
 * disk left for an exchange. So this takes what an exchange takes, a transaction id and locks,
 * writes nothing, and listens to what real work met in the last seconds. After a refusal it also
 * opens a connection, as work might have to.
 */
export function createWriteCheck(
  ports: RetryPorts,
  refusals: WorkRefusals,
  open: Sql,
  /** Makes a pool of its own, for one connection. */
  connectAnew: () => Sql,
): () => Promise<void> {
  const rehearsal = createRehearsal();
  const rehearse = async (isAfterRefusal: boolean): Promise<void> => {
    if (!isAfterRefusal) {
      await rehearsal(open);
      return;
    }
    const fresh = connectAnew();
    try {
      await rehearsal(fresh);
    } finally {
      await fresh.end({ timeout: 1 });
    }
  };
  return async () => {
    const met = refusals.latest();
    if (met !== null && met.ageMs < REFUSED_MS) throw refuses(met.code, null);
    try {
      await withinCall(ports, () => rehearse(met !== null));
    } catch (error) {
      // Looked at again no sooner than after the first.
      if (met !== null) refusals.met(error);
      const code = refusalCode(error);
      throw code === null ? toBrokerError(error, ports.databaseRole) : refuses(code, error);
    }
    // Only what it asked about: another may have been met meanwhile.
    if (met !== null && refusals.latest()?.code === met.code) refusals.committed();
  };
}

/** One statement, a transaction of its own: its locks go as it ends, and nothing is written. */
function createRehearsal(): (sql: Statement) => Promise<void> {
  let mayLock = true;
  return async (sql) => {
    if (mayLock) {
      try {
        await sql`
          SELECT count(pg_try_advisory_xact_lock_shared(${KEY_SPACE}::integer, i))
          FROM generate_series(1, ${LOCKS}::integer) AS i`;
      } catch (error) {
        if (faultOf(error)?.code !== "42501") throw error;
        // Taken from our roles too, by another than us: the id's own lock is left to ask for.
        mayLock = false;
      }
    }
    const [row] = await sql<{ writes: boolean }[]>`
      SELECT CASE WHEN current_setting('transaction_read_only') = 'off'
        THEN pg_current_xact_id() IS NOT NULL ELSE false END AS writes`;
    if (row?.writes !== true) throw new LedgerFault("25006", "the session may only read", null);
  };
}
/** "mayf": shared, and never waited for, so that nobody else's lock of this key matters. */
const KEY_SPACE = 0x6d617966;

const refuses = (code: string, cause: unknown): BrokerError =>
  new BrokerError(
    "ledger_unavailable",
    `The ledger answers, and refuses work (SQLSTATE ${code}).`,
    { cause, retryAfterSeconds: 1 },
  );

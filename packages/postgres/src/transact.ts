import { BrokerError } from "@mayfly/spec";
import type { Sql, Transaction } from "./sql.ts";

/** A statement of the driver's that nobody has waited for: it is sent when it is executed. */
interface Unsent extends PromiseLike<unknown> {
  execute(): unknown;
}

export interface OpenTransaction {
  readonly sql: Transaction;
  /**
   * Sends these, in their order, and COMMIT after them without waiting in between; resolves when
   * all is durable, and then each tells its answer. When one fails nothing is written: the server
   * makes a ROLLBACK of the COMMIT. Nobody may have sent them yet, and nothing comes after them.
   */
  readonly commitWith: (last: readonly Unsent[]) => Promise<void>;
}

/**
 * A transaction that costs no round trip of its own: BEGIN goes out with the first statements of
 * `work`, and COMMIT with the last, if it says which those are. Throws what the first statement
 * that failed threw. After a connection that was lost in COMMIT nobody knows whether it happened.
 *
 * It rests on patches/postgres@3.4.9.patch: as it is published the driver sends a statement whose
 * plan no longer fits once more, which would then stand behind COMMIT, alone.
 */
export async function transact<T>(
  sql: Sql,
  /** A statement of ours alone that is sent with BEGIN: text of the program, never of a request. */
  first: string,
  work: (transaction: OpenTransaction) => Promise<T>,
): Promise<T> {
  const connection = await sql.reserve();
  let isOver = false;
  const begun = connection.unsafe(`BEGIN; ${first}`).execute();
  // Whoever waits for a later statement hears of it: it fails too.
  begun.catch(() => undefined);
  const commitWith = async (last: readonly Unsent[]): Promise<void> => {
    await begun;
    isOver = true;
    const commit = connection.unsafe("COMMIT");
    for (const statement of [...last, commit]) statement.execute();
    const outcomes = await Promise.allSettled<unknown>([...last, commit]);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") throw outcome.reason;
    }
    const { command } = await commit;
    if (command !== "COMMIT") {
      throw new BrokerError("internal", "The ledger rolled back what was to be committed.");
    }
  };
  try {
    const result = await work({ sql: connection, commitWith });
    if (!isOver) await commitWith([]);
    return result;
  } catch (error) {
    if (!isOver) await connection.unsafe("ROLLBACK").catch(() => undefined);
    throw error;
  } finally {
    connection.release();
  }
}

import { appendEvents, MIGRATOR } from "./append-events.ts";
import { actAsMigrator } from "./database-roles.ts";
import { toBrokerError } from "./faults.ts";
import { connect, databaseRoleOf } from "./sql.ts";

/**
 * From its commit on, the leaves of the log are of version 2, which processes of the version before
 * call tampered: to be called when none of them runs. False: they were already. As who may act as
 * the migrator.
 */
export async function saltLeaves(url: string): Promise<boolean> {
  const sql = connect(url, "mayfly-salt", 1);
  try {
    await actAsMigrator(sql);
    return await sql.begin(async (tx) => {
      // Who appends holds this row: the leaves of one append are all of one version.
      const changed = await tx`
        UPDATE mayfly.log_head SET leaf_version = 2 WHERE leaf_version = 1`;
      if (changed.count === 0) return false;
      const data = { leafVersion: 2 };
      await appendEvents(tx, [{ kind: "ledger.salted", actor: MIGRATOR, data }]);
      return true;
    });
  } catch (error) {
    throw toBrokerError(error, databaseRoleOf(url));
  } finally {
    await sql.end({ timeout: 5 });
  }
}

import { toBrokerError } from "./faults.ts";
import { connect, databaseRoleOf } from "./sql.ts";
import { createUpkeep } from "./upkeep.ts";

/** Makes the partitions of the next months, as who may act as the migrator; answers how many. */
export async function ensurePartitions(url: string): Promise<number> {
  const sql = connect(url, "mayfly-partitions", 1);
  try {
    await sql`SET ROLE mayfly_migrator`;
    return await createUpkeep(sql).ensurePartitions();
  } catch (error) {
    throw toBrokerError(error, databaseRoleOf(url));
  } finally {
    await sql.end({ timeout: 5 });
  }
}

import { z } from "zod";
import type { Deadline, Endpoint } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { unfinished } from "./pg-failure.ts";
import { oidLiteral, wholeNumber } from "./quote.ts";
import { runUnhindered } from "./run-unhindered.ts";

/** In one transaction, each with what depends on it; a lock table has 6,400 places by default. */
const BATCH = 100;
/** More than anybody has time for in one attempt; the next one goes on. */
const BATCHES_MAX = 100;

/** A dead session's temporary schema lets nobody in, and goes with the next one to have it. */
const NAMED = "n.nspname !~ '^pg_(temp|toast)'";

/**
 * What of a role's would act with the rights of whoever got it: routines (SECURITY DEFINER is one
 * way; triggers behind foreign keys and expressions of indexes run as the table's owner too),
 * views, which read as their owner, and rules and triggers of its tables.
 */
const codeOf = ({ oid }: FoundRole): string => `
  SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure) AS statement
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE p.proowner = ${oidLiteral(oid)} AND ${NAMED}
  UNION ALL
  SELECT format('DROP %s IF EXISTS %I.%I CASCADE',
    CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relowner = ${oidLiteral(oid)} AND c.relkind IN ('v', 'm') AND ${NAMED}
  UNION ALL
  SELECT format('DROP RULE IF EXISTS %I ON %I.%I CASCADE', r.rulename, n.nspname, c.relname)
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relowner = ${oidLiteral(oid)} AND c.relkind NOT IN ('v', 'm') AND ${NAMED}
  UNION ALL
  SELECT format('DROP TRIGGER IF EXISTS %I ON %I.%I CASCADE', t.tgname, n.nspname, c.relname)
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relowner = ${oidLiteral(oid)} AND c.relkind NOT IN ('v', 'm') AND ${NAMED}
    AND NOT t.tgisinternal AND t.tgparentid = 0`;

const countRow = z.tuple([z.object({ count: z.int() })]);

/**
 * Drops the code that a lease made in this database, and what hangs on it, before its data is given
 * to somebody else: code that changed hands would run with the rights of its new owner, who may be
 * the broker itself, and any later lease could call it.
 */
export async function dropLeftCode(
  lane: Lane,
  endpoint: Endpoint,
  role: FoundRole,
  deadline: Deadline,
): Promise<void> {
  const code = codeOf(role);
  const drop = `DO $code$ DECLARE item text; BEGIN
    FOR item IN ${code} LIMIT ${wholeNumber(BATCH)} LOOP EXECUTE item; END LOOP; END $code$`;
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const [rows] = await endpoint.run(`SELECT count(*)::int AS count FROM (${code}) c`, deadline);
    const [{ count }] = countRow.parse(rows);
    if (count === 0) return;
    await runUnhindered(lane, endpoint, role, drop, deadline);
  }
  throw unfinished(
    "revoke: login and sessions are gone; the lease's routines, views, rules and triggers are " +
      "dropped in batches, and the next attempt goes on with them",
    1,
  );
}

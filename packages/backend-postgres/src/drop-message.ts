import { z } from "zod";
import type { Rows } from "./endpoint.ts";
import type { LeaseHandle } from "./lease-mark.ts";
import { leaseTable, oidsOf } from "./lease-sets.ts";
import { doBlock } from "./mint-message.ts";
import { wholeNumber } from "./quote.ts";

/**
 * How long a batch waits for a lock. A lease that is held up by one goes alone, where the holder is
 * looked for; the others of its batch shall hardly notice.
 */
const LOCK_MS = 25;

/**
 * Cuts the sessions of all these leases and drops the roles of those that hold nothing, as one
 * message and one transaction; its last statement names those of which nothing is left but, it may
 * be, a session. Whoever is renamed, owns something or has prepared a transaction is passed over.
 *
 * It may arrive late or twice: an OID together with its name is never somebody else's.
 */
export function dropMessage(leases: readonly LeaseHandle[], statementMs: number): string {
  const table = leaseTable(leases);
  return [
    `SET LOCAL statement_timeout = ${wholeNumber(statementMs)}`,
    `SET LOCAL lock_timeout = ${wholeNumber(LOCK_MS)}`,
    doBlock([
      "DECLARE doomed text; BEGIN",
      "PERFORM pg_terminate_backend(pid) FROM pg_stat_activity",
      `  WHERE usesysid = ANY (${oidsOf(leases)});`,
      "SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.oid) INTO doomed",
      `  FROM ${table} JOIN pg_roles r ON r.oid = l.oid AND r.rolname = l.name`,
      "  WHERE NOT EXISTS (SELECT FROM pg_shdepend s",
      "      WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = l.oid)",
      // The function, since the view joins all roles to it for the owner's name.
      "    AND NOT EXISTS (SELECT FROM pg_prepared_xact() p WHERE p.ownerid = l.oid);",
      // Where somebody else was faster, it is gone as well.
      "IF doomed IS NOT NULL THEN EXECUTE 'DROP ROLE IF EXISTS ' || doomed; END IF;",
      "END;",
    ]),
    `SELECT l.oid::int8::text AS oid FROM ${table}
       LEFT JOIN pg_roles r ON r.oid = l.oid LEFT JOIN pg_roles n ON n.rolname = l.name
     WHERE r.oid IS NULL AND n.oid IS NULL`,
  ].join(";\n");
}

const goneRows = z.array(z.object({ oid: z.string() }));

/** The OIDs of the leases whose role is gone. */
export const droppedOf = (rows: Rows): ReadonlyMap<number, "dropped"> =>
  new Map(goneRows.parse(rows.at(-1)).map(({ oid }) => [Number(oid), "dropped"]));

import type { Statement } from "./sql.ts";

/**
 * Functions of PostgreSQL that every login may call by right of being anybody, and with which one
 * session uses up what the whole server has once.
 */
export interface PublicFunctions {
  /** What a login may do with them, for the sentence "mayfly_auditor may …". */
  readonly may: string;
  /** A regular expression of PostgreSQL for their names; their overloads are the server's. */
  readonly names: string;
  /** Who of ours calls them, and is to have them by name. */
  readonly users: readonly string[];
}

/**
 * Each advisory lock takes a place of the table that all locks of the server are in. What lets go
 * of one stays everybody's: it takes nothing, and drivers call it when they reset a session.
 */
export const LOCKING: PublicFunctions = {
  may: "take advisory locks until no transaction of the server finds room for a lock",
  names: "^pg_(try_)?advisory_(xact_)?lock",
  // BullMQ takes some, in functions and to migrate; the ledger when it looks for room.
  users: ["mayfly_migrator", "mayfly_broker", "mayfly_worker"],
};

/** Large objects are everybody's to make, in any number and of any size. */
export const LARGE_OBJECTS: PublicFunctions = {
  may: "make large objects until the disk is full",
  names: "^lo_(creat|create|from_bytea|import)$",
  users: [],
};

export interface PublicFunctionsFound {
  /** Whether everybody may call one of them. */
  readonly isOpen: boolean;
  /** Roles of ours that lack one which they need. */
  readonly without: readonly string[];
  /** Whether who asks may grant and revoke all of them: a superuser, as a rule. */
  readonly mayChange: boolean;
}

export async function findPublicFunctions(
  sql: Statement,
  { names, users }: PublicFunctions,
): Promise<PublicFunctionsFound> {
  const [row] = await sql<{ open: boolean; lacking: string[]; may: boolean }[]>`
    WITH f AS (
      SELECT p.oid, p.proowner FROM pg_proc AS p
      WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ ${names}
    )
    SELECT EXISTS (SELECT FROM f WHERE has_function_privilege('public', f.oid, 'EXECUTE')) AS open,
      NOT EXISTS (SELECT FROM f WHERE NOT pg_has_role(f.proowner, 'USAGE')) AS may,
      ARRAY(
        SELECT r.rolname::text FROM pg_roles AS r
        WHERE r.rolname IN (SELECT jsonb_array_elements_text(${JSON.stringify(users)}::text::jsonb))
          AND EXISTS (SELECT FROM f WHERE NOT has_function_privilege(r.oid, f.oid, 'EXECUTE'))
        ORDER BY 1) AS lacking`;
  if (row === undefined) throw new Error("the server answered without a row");
  return { isOpen: row.open, without: row.lacking, mayChange: row.may };
}

/**
 * One statement that leaves them to those of ours that need them, for an owner of the functions to
 * run. It grants first, so that nobody who needs them is without for a moment.
 */
export function leaveToUsers({ names, users }: PublicFunctions): string {
  const grant =
    users.length === 0
      ? ""
      : `EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ${users.join(", ")}', f); `;
  return (
    "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_catalog.pg_proc " +
    `WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '${names}' LOOP ` +
    `${grant}EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP; END $$;`
  );
}

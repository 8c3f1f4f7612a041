import postgres from "postgres";

export interface Leftovers {
  readonly roles: number;
  readonly sessions: number;
}

/**
 * Asks the customer's PostgreSQL itself, as its superuser and not through Mayfly, what of ours is
 * left: roles with our prefix, and sessions of such roles, dropped ones included (a session whose
 * role is gone has no name any more, but a `usesysid` that no role has).
 */
export async function askCustomer(superuserUrl: string): Promise<Leftovers> {
  const sql = postgres(superuserUrl, { max: 1, onnotice: () => undefined });
  try {
    const [row] = await sql<{ roles: number; sessions: number }[]>`
      SELECT
        (SELECT count(*)::int FROM pg_roles WHERE rolname ~ '^mf_[a-z2-7]{8}_') AS roles,
        (SELECT count(*)::int FROM pg_stat_activity a
          WHERE a.usesysid IS NOT NULL AND (
            a.usename ~ '^mf_[a-z2-7]{8}_'
            OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid))) AS sessions`;
    return { roles: row?.roles ?? -1, sessions: row?.sessions ?? -1 };
  } finally {
    await sql.end();
  }
}

/** Lease roles with a query running now. */
export async function busyLeaseRoles(superuserUrl: string): Promise<readonly string[]> {
  const sql = postgres(superuserUrl, { max: 1, onnotice: () => undefined });
  try {
    const rows = await sql<{ usename: string }[]>`
      SELECT usename FROM pg_stat_activity WHERE state = 'active' AND usename ~ '^mf_[a-z2-7]{8}_'`;
    return rows.map((row) => row.usename);
  } finally {
    await sql.end();
  }
}

import type { Statement } from "./sql.ts";

/**
 * The whole schema as text, in a fixed order: what `migrations/` adds up to, so that a change of a
 * migration shows as a change of the result. Monthly partitions are left out: they depend on when.
 */
export async function describeSchema(sql: Statement): Promise<string> {
  const found = await sql<{ line: string }[]>`
    WITH shown AS (
      SELECT c.*, n.nspname AS schema FROM pg_class AS c JOIN pg_namespace AS n
        ON n.oid = c.relnamespace
      WHERE n.nspname IN ('mayfly', 'mayfly_audit') AND c.relname !~ '_\\d{4}_\\d{2}(_|$)'
        AND (c.relispartition = false OR c.relname LIKE '%\\_default')
    ), lines AS (
      SELECT 1 AS part, format('%s.%s', schema, relname) AS object, 0 AS place,
        format('%s %s.%s owner %s%s', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, schema,
          relname, pg_get_userbyid(relowner),
          CASE relkind WHEN 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(oid) ELSE '' END) AS line
      FROM shown WHERE relkind IN ('r', 'p', 'v')
      UNION ALL
      SELECT 1, format('%s.%s', s.schema, s.relname), a.attnum,
        format('  %s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
          CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
          coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ''))
      FROM shown AS s JOIN pg_attribute AS a ON a.attrelid = s.oid AND a.attnum > 0
        AND NOT a.attisdropped
      LEFT JOIN pg_attrdef AS d ON d.adrelid = s.oid AND d.adnum = a.attnum
      WHERE s.relkind IN ('r', 'p') AND NOT s.relispartition
      UNION ALL
      SELECT 1, format('%s.%s', s.schema, s.relname), 1000,
        format('  %s', pg_get_constraintdef(k.oid))
      FROM shown AS s JOIN pg_constraint AS k ON k.conrelid = s.oid
      WHERE NOT s.relispartition AND k.contype <> 'n'
      UNION ALL
      SELECT 1, format('%s.%s', s.schema, s.relname), 2000,
        format('  INDEX %s', regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', ''))
      FROM shown AS s JOIN pg_index AS i ON i.indrelid = s.oid
      WHERE NOT s.relispartition AND NOT i.indisprimary
      UNION ALL
      SELECT 1, format('%s.%s', s.schema, s.relname), 3000, format('  %s', pg_get_triggerdef(t.oid))
      FROM shown AS s JOIN pg_trigger AS t ON t.tgrelid = s.oid
      WHERE NOT t.tgisinternal AND NOT s.relispartition
      UNION ALL
      SELECT 1, format('%s.%s', s.schema, s.relname), 4000, format('  GRANT %s TO %s',
        string_agg(DISTINCT g.privilege_type, ', '), g.grantee::regrole)
      FROM shown AS s, aclexplode(s.relacl) AS g
      WHERE g.grantee <> s.relowner GROUP BY s.schema, s.relname, g.grantee
      UNION ALL
      SELECT 1, format('%s.%s', s.schema, s.relname), 5000, format('  GRANT %s (%s) TO %s',
        g.privilege_type, string_agg(a.attname, ', ' ORDER BY a.attname), g.grantee::regrole)
      FROM shown AS s JOIN pg_attribute AS a ON a.attrelid = s.oid, aclexplode(a.attacl) AS g
      GROUP BY s.schema, s.relname, g.privilege_type, g.grantee
      UNION ALL
      SELECT 2, f.oid::regprocedure::text, 0,
        format('FUNCTION %s owner %s%s', f.oid::regprocedure, pg_get_userbyid(f.proowner),
          CASE WHEN f.prosecdef THEN ' SECURITY DEFINER' ELSE '' END)
      FROM pg_proc AS f WHERE f.pronamespace = 'mayfly'::regnamespace
      UNION ALL
      SELECT 2, f.oid::regprocedure::text, 1,
        format('  GRANT EXECUTE TO %s', CASE g.grantee WHEN 0 THEN 'PUBLIC'
          ELSE g.grantee::regrole::text END)
      FROM pg_proc AS f, aclexplode(f.proacl) AS g
      WHERE f.pronamespace = 'mayfly'::regnamespace AND g.grantee <> f.proowner
    )
    SELECT line FROM lines ORDER BY part, object COLLATE "C", place, line COLLATE "C"`;
  return `${found.map((row) => `-- ${row.line}`).join("\n")}\n`;
}

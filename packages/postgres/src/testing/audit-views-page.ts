import type postgres from "postgres";

export interface AuditColumn {
  readonly view: string;
  /** Null where the migrations have no comment on it. */
  readonly about: string | null;
  readonly name: string;
  readonly type: string;
  readonly meaning: string | null;
}

/** Every column of every view that the auditor may read, as the migrated database has them. */
export const readAuditColumns = (sql: postgres.Sql) =>
  sql<AuditColumn[]>`
  SELECT c.relname AS view, obj_description(c.oid) AS about, a.attname AS name,
    format_type(a.atttypid, NULL) AS type, col_description(c.oid, a.attnum) AS meaning
  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
  WHERE c.relnamespace = 'mayfly_audit'::regnamespace AND c.relkind = 'v' AND NOT a.attisdropped
  ORDER BY c.relname, a.attnum`.execute();

const HEAD = `# The auditor's views

<!-- Generated from the comments in migrations/. Change those in a new migration, then run:
     pnpm exec vitest run packages/postgres/src/audit-views.pg.test.ts -u -->

Read-only SQL for any SIEM or BI tool: the schema \`mayfly_audit\` of the ledger's PostgreSQL, with
the role \`mayfly_auditor\`. That role reads these views and nothing else; no view has a secret, a
sealed handle or a key. [Security questions](security-questions.md) has a query for each question.

**What you may rely on.** Columns are only added, at the end; none is renamed, retyped or given
another meaning without a new major version of Mayfly and a release note. So name columns instead of
\`SELECT *\`. The version is in \`mayfly_audit.schema_versions\`; the words below are in the database
too (\`\\d+ mayfly_audit.holders\`). Instants are \`timestamptz\`. An id is a UUIDv7, which sorts by
time: in the API and the command it has its kind in front and no dashes.

**What it costs you.** The role can write to no table of the ledger. In the ledger's database it
makes no temporary tables and no large objects, and takes no advisory locks: with one statement it
would fill the table that all locks of the server are in, and stop the ledger for everybody.
\`mayfly migrate\` takes all three from \`PUBLIC\`, temporary tables where who migrates owns the
database, the others where it is a superuser. Grant them by name to others who work there: \`GRANT
EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO …\`. What it may not take, \`mayfly doctor\` names
once somebody can log in as the role, with the statement for a superuser to run; on a managed server
that gives nobody a superuser, it stays open. So do the server's other databases, which share the
table of locks: doctor names those that the role may log in to.

It is no stranger's role all the same. It may NOTIFY, and change its own settings and default
privileges; a session that does so below some thousand nested savepoints holds a lock for each,
which no grant prevents. Give its password to people, not to programs that others can make write
SQL. A ledger that is refused locks says so: [what to do](runbooks/broker-not-ready.md).

It has 10 sessions at once, in all databases of the server. \`ALTER ROLE mayfly_auditor
CONNECTION LIMIT 25\` chooses another number, which \`mayfly migrate\` leaves as it is; only
-1, the server's default, becomes 10. A statement of more than 5 minutes is cut, and so are a
transaction left idle for that long, which holds retention up until then, and a session left
idle for an hour. These times are where a session begins, and no bound: \`SET
statement_timeout\` in it says otherwise. So does an administrator's \`ALTER ROLE
mayfly_auditor IN DATABASE … SET …\`, which \`mayfly migrate\` leaves too.

**What is fast.** \`tasks\`, \`decisions\`, \`leases\` and \`events\` grow for ever. Ask by id,
workload, task or role, or for what is exposed; put a bound on \`id\` to read a span of time:

\`\`\`text
id >= (lpad(to_hex((extract(epoch FROM now() - interval '7 days') * 1000)::bigint), 12, '0')
  || repeat('0', 20))::uuid
\`\`\`
`;

/** The page of the views, from their comments. */
export function auditViewsPage(columns: readonly AuditColumn[]): string {
  const views = Map.groupBy(columns, ({ view }) => view);
  const sections = [...views].map(([view, members]) => {
    const rows = members.map(
      ({ name, type, meaning }) => `| \`${name}\` | ${type} | ${meaning ?? ""} |`,
    );
    return [
      `## ${view}`,
      "",
      members[0]?.about ?? "",
      "",
      "| column | type | meaning |",
      "| --- | --- | --- |",
      ...rows,
      "",
    ].join("\n");
  });
  return `${HEAD}\n${sections.join("\n")}`;
}

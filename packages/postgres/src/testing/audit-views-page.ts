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

**What it costs you.** The role can write to no table of the ledger and make no temporary ones. It
is no stranger's role all the same: like every login of PostgreSQL it may take advisory locks, make
large objects and NOTIFY, and whoever takes as many locks as the server has room for stops the
ledger for everybody until that session ends. Give its password to people, not to programs that
others can make write SQL. A statement of more than 5 minutes is cut, and so is a transaction left
idle for that long: until then it may hold retention up. \`SET statement_timeout\` in a session says
otherwise, and so does an administrator's \`ALTER ROLE mayfly_auditor IN DATABASE … SET …\`, which
\`mayfly migrate\` leaves as it is. Where who migrates owns the database, it takes the right to
temporary tables from \`PUBLIC\`: grant it by name to others who work there.

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

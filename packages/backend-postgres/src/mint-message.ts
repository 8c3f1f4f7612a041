import type { InstantMs } from "@mayfly/spec";
import type { PgGrant } from "./role-settings.ts";
import { SQLSTATE } from "./pg-failure.ts";
import { literals, quoteIdentifier, quoteLiteral, wholeNumber } from "./quote.ts";

/** One role to make. */
export interface Mint {
  readonly name: string;
  readonly verifier: string;
  readonly comment: string;
  readonly grant: PgGrant;
  readonly expiresAt: InstantMs;
  readonly issueBy: InstantMs;
}

/** A statement that fails once the server's own clock is past the instant. */
export const raiseIfPast = (at: InstantMs): string =>
  `IF clock_timestamp() > to_timestamp(${wholeNumber(at)} / 1000.0) THEN ` +
  `RAISE EXCEPTION USING ERRCODE = '${SQLSTATE.pastDeadline}', ` +
  `MESSAGE = 'the server received or finished this past its deadline'; END IF;`;

/** A whole PL/pgSQL block as one literal, so that no name can end the quotation. */
export const doBlock = (body: readonly string[]): string =>
  `DO ${quoteLiteral(`BEGIN\n${body.join("\n")}\nEND`)}`;

/** Bounds this transaction alone. Both apply to each statement, so the work is one statement. */
export const localTimeouts = (ms: number): readonly string[] => {
  const bound = wholeNumber(Math.max(1, Math.floor(ms)));
  return [`SET LOCAL statement_timeout = ${bound}`, `SET LOCAL lock_timeout = ${bound}`];
};

const timestampLiteral = (at: InstantMs): string => quoteLiteral(new Date(at).toISOString());

function createRole({ name, verifier, grant, expiresAt }: Mint): string {
  return (
    `CREATE ROLE ${quoteIdentifier(name)} LOGIN PASSWORD ${quoteLiteral(verifier)} ` +
    `VALID UNTIL ${timestampLiteral(expiresAt)} ` +
    `CONNECTION LIMIT ${wholeNumber(grant.connection_limit)};`
  );
}

function furnishRole({ name, comment, grant }: Mint): readonly string[] {
  const role = quoteIdentifier(name);
  const path = grant.search_path?.map(quoteIdentifier).join(", ");
  const seconds = grant.statement_timeout_seconds;
  return [
    `COMMENT ON ROLE ${role} IS ${quoteLiteral(comment)};`,
    ...(path === undefined ? [] : [`ALTER ROLE ${role} SET search_path = ${path};`]),
    ...(seconds === null
      ? []
      : [`ALTER ROLE ${role} SET statement_timeout = '${wholeNumber(seconds)}s';`]),
    ...(grant.read_only ? [`ALTER ROLE ${role} SET default_transaction_read_only = on;`] : []),
  ];
}

/**
 * A GRANT of a role with options that only 16 and newer know; before that the options are a syntax
 * error, so it is a text that is parsed when it is run.
 *
 * The server's version is asked in the block itself, so that an upgrade under a running broker
 * cannot make a grant wider.
 */
export const grantAsMember = (grant: string, options: string): string =>
  `IF current_setting('server_version_num')::int >= 160000 THEN ` +
  `EXECUTE ${quoteLiteral(`${grant} WITH ${options}`)}; ELSE EXECUTE ${quoteLiteral(grant)}; END IF;`;

/**
 * One GRANT for each group, in one order everywhere: from PostgreSQL 16 a GRANT locks the group's
 * row until commit, and two batches that take two groups in opposite order would deadlock.
 * SET FALSE keeps a lease from SET ROLE to its group.
 */
function grantGroups(mints: readonly Mint[]): readonly string[] {
  const members = new Map<string, string[]>();
  for (const { name, grant } of mints) {
    for (const group of grant.member_of) {
      members.set(group, [...(members.get(group) ?? []), quoteIdentifier(name)]);
    }
  }
  const grants = [...members.keys()].toSorted().map((group) => {
    const to = (members.get(group) ?? []).join(", ");
    return `GRANT ${quoteIdentifier(group)} TO ${to}`;
  });
  return grants.map((grant) => grantAsMember(grant, "INHERIT TRUE, SET FALSE"));
}

/**
 * The whole batch as one message and one transaction. The server tests the earliest deadline
 * before it begins and again before it commits, so that neither a frozen broker nor a lock that
 * was waited for can mint late.
 *
 * All roles are made first. From PostgreSQL 16 an administrator without superuser is a member of
 * every role that it made; each new one empties the server's cache of memberships, and what is next
 * checked walks through all of them: microseconds for each live lease, once in a batch and not once
 * for each role.
 */
export function mintMessage(mints: readonly Mint[], earliest: InstantMs, leftMs: number): string {
  return [
    ...localTimeouts(leftMs),
    doBlock([
      raiseIfPast(earliest),
      ...mints.map(createRole),
      ...mints.flatMap(furnishRole),
      ...grantGroups(mints),
      raiseIfPast(earliest),
    ]),
    `SELECT rolname, oid::int8::text AS oid,
       floor(extract(epoch FROM rolvaliduntil) * 1000)::int8::text AS until_ms
     FROM pg_roles WHERE rolname IN (${literals(mints.map(({ name }) => name))})`,
  ].join(";\n");
}

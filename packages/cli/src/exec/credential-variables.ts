import { PostgresPassword, type Credential } from "@mayfly/client";

export type Variables = Readonly<Record<string, string>>;

/** libpq's words for the backend's three ways of TLS. */
const SSL_MODE: ReadonlyMap<string, string> = new Map([
  ["verify-full", "verify-full"],
  ["unsafe_require_unverified", "require"],
  ["unsafe_disable", "disable"],
]);

/** Before the members of a kind that has no variables of its own, where no prefix was asked for. */
const OTHER_PREFIX = "CREDENTIAL";

/**
 * How a command finds the credential: for PostgreSQL by the variables that every driver knows, and
 * for any other kind by its members, each under its name in capitals.
 */
export function credentialVariables(credential: Credential, prefix: string): Variables {
  if (!(credential instanceof PostgresPassword)) {
    return prefixed(prefix === "" ? OTHER_PREFIX : prefix, membersOf(credential.expose()));
  }
  const { host, port, database, username, password, tls, url } = credential.expose();
  return prefixed(prefix, {
    PGHOST: host,
    PGPORT: String(port),
    PGDATABASE: database,
    PGUSER: username,
    PGPASSWORD: password,
    PGSSLMODE: SSL_MODE.get(tls) ?? "verify-full",
    DATABASE_URL: url,
  });
}

const prefixed = (prefix: string, variables: Variables): Variables =>
  Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      prefix === "" ? name : `${prefix}_${name}`,
      value,
    ]),
  );

/** Texts as they are, anything else as JSON; what has no value has no variable. */
const membersOf = (data: Readonly<Record<string, unknown>>): Variables =>
  Object.fromEntries(
    Object.entries(data)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => [
        name.replaceAll(/[^A-Za-z0-9]/g, "_").toUpperCase(),
        typeof value === "string" ? value : JSON.stringify(value),
      ]),
  );

import { PostgresPassword, type Credential } from "@mayfly/client";
import { CliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";

export type Variables = Readonly<Record<string, string>>;

/** libpq's words for the backend's three ways of TLS. */
const SSL_MODE: ReadonlyMap<string, string> = new Map([
  ["verify-full", "verify-full"],
  ["unsafe_require_unverified", "require"],
  ["unsafe_disable", "disable"],
]);

/** How a command finds the credential, by its kind; the page of the backend's type documents it. */
export function credentialVariables(credential: Credential, prefix: string): Variables {
  if (!(credential instanceof PostgresPassword)) throw notKnown(credential);
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

const notKnown = ({ role, kind }: Credential): CliError =>
  new CliError({
    code: "no_credential",
    what: `There are no variables for a credential of kind ${kind}.`,
    where: role,
    todo: "Use the SDK for it, or a newer version of this command.",
    exit: EXIT.refused,
  });

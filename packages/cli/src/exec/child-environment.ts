import type { Variables } from "./credential-variables.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What proves who this process is. The command gets a credential instead. */
const IDENTITY = new Set([
  "SPIFFE_ENDPOINT_SOCKET",
  "ACTIONS_ID_TOKEN_REQUEST_URL",
  "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
]);
/** libpq heeds these before PGHOST and PGPASSWORD: the password would go to another server. */
const STRONGER = ["PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE"] as const;

/**
 * The environment of the command: ours, without any MAYFLY_ variable and without what proves our
 * identity, and with the credentials. What was set before under the same names is gone.
 */
export function childEnvironment(
  ours: Environment,
  credentials: Variables,
): Readonly<Record<string, string>> {
  const replaced = new Set<string>("PGHOST" in credentials ? STRONGER : []);
  const kept = Object.entries(ours).filter(
    (pair): pair is [string, string] =>
      pair[1] !== undefined &&
      !pair[0].startsWith("MAYFLY_") &&
      !IDENTITY.has(pair[0]) &&
      !replaced.has(pair[0]),
  );
  return { ...Object.fromEntries(kept), ...credentials };
}

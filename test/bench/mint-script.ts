import { scramVerifierText } from "./scram-text.ts";

/**
 * The DDL that one exchange sends to the customer's server, as a pgbench script: one message, so
 * one transaction. pgbench counts `n` up in each client and keeps clients apart by their number.
 * `iterations` null: a role without a password.
 */
export function mintScript(prefix: string, iterations: number | null): string {
  const name = `"${prefix}:id"`;
  const password = iterations === null ? "" : ` PASSWORD '${scramVerifierText(iterations)}'`;
  return [
    "\\set n :n + 1",
    "\\set id (:client_id + 1) * 100000000 + :n",
    [
      `CREATE ROLE ${name} LOGIN${password}` +
        ` VALID UNTIL '2099-01-01T00:00:00Z' CONNECTION LIMIT 5`,
      `COMMENT ON ROLE ${name} IS 'mayfly lease bench benchbenchbenchbenchbenchbenchbenchbench'`,
      `GRANT app_reader TO ${name} WITH INHERIT TRUE, SET FALSE`,
    ].join(" \\; ") + ";",
    "",
  ].join("\n");
}

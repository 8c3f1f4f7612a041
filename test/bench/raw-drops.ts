import postgres from "postgres";
import type { EmbeddedPostgres } from "@mayfly/embedded";
import { scramVerifierText } from "./scram-text.ts";

const BATCH = 64;
const CONNECTIONS = 2;

/**
 * Makes so many roles like those of leases, and measures how long batched DROP ROLE alone takes to
 * remove them: 64 in a statement, on two connections at once. Answers seconds.
 */
export async function rawDropSeconds(server: EmbeddedPostgres, roles: number): Promise<number> {
  const sql = postgres(server.url("orders"), {
    max: CONNECTIONS,
    onnotice: () => undefined,
    prepare: false,
  });
  try {
    const names = Array.from({ length: roles }, (_, n) => `raw_${n}`);
    const batches: string[][] = [];
    for (let at = 0; at < names.length; at += BATCH) batches.push(names.slice(at, at + BATCH));
    const verifier = scramVerifierText(1);
    await inTurn(batches, (batch) => sql.unsafe(creation(batch, verifier)).simple());
    const fromMs = performance.now();
    await inTurn(batches, (batch) => sql.unsafe(`DROP ROLE ${batch.join(", ")}`).simple());
    return (performance.now() - fromMs) / 1000;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

const creation = (names: readonly string[], verifier: string): string =>
  [
    ...names.flatMap((name) => [
      `CREATE ROLE ${name} LOGIN PASSWORD '${verifier}' VALID UNTIL '2099-01-01' CONNECTION LIMIT 4`,
      `COMMENT ON ROLE ${name} IS 'bench bench bench bench bench bench bench bench bench bench'`,
    ]),
    `GRANT app_reader TO ${names.join(", ")} WITH INHERIT TRUE, SET FALSE`,
  ].join(";\n");

/** Two connections, each with its next batch as soon as it has finished one. */
async function inTurn(
  batches: readonly (readonly string[])[],
  send: (batch: readonly string[]) => PromiseLike<unknown>,
): Promise<void> {
  const queue = batches.values();
  const work = async (): Promise<void> => {
    for (const batch of queue) await send(batch);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
}

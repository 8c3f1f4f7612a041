import { generateKeyPairSync } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import type { Sql } from "postgres";
import { createPolicyCompiler } from "@mayfly/policy";
import { accessRequest } from "@mayfly/testkit";
import type { BenchInstallation } from "./bench-installation.ts";
import { openHttpClient } from "./http-client.ts";
import { startHttpServer } from "./http-shell-server.ts";
import { median } from "./interleave.ts";
import { mintScript } from "./mint-script.ts";
import { pgbench } from "./pgbench.ts";

/** Of one exchange at c=1, each part alone and without Mayfly, in milliseconds. */
export interface RawParts {
  readonly http: number;
  readonly verify: number;
  readonly policy: number;
  readonly ledger: number;
  readonly mint: number;
  readonly sign: number;
}

export const sumOf = ({ http, verify, policy, ledger, mint, sign }: RawParts): number =>
  http + verify + policy + ledger + mint + sign;

const CALLS = 2000;
const BODY_BYTES = 1200;
const POLICY = `@id("agents") permit (principal, action in Action::"credential", resource);`;

/** PostgreSQL's parts by pgbench with one client, the others by their medians in this process. */
export async function measureRawParts(
  mayfly: BenchInstallation,
  seconds: number,
  round: number,
): Promise<RawParts> {
  const one = { clients: 1, seconds };
  const { server, ledgerDatabase } = mayfly;
  const ledger = await pgbench({
    ...one,
    url: server.url(ledgerDatabase.name),
    script: await ledgerScript(mayfly.ledger, round),
  });
  const mint = await pgbench({
    ...one,
    url: server.url("orders"),
    script: mintScript(`raw${round}_`, 1),
  });
  return {
    http: await httpMs(),
    ...(await tokenMs()),
    policy: policyMs(),
    ledger: ledger.latencyMs,
    mint: mint.latencyMs,
  };
}

async function timed(call: (n: number) => unknown): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < CALLS; n++) {
    const from = performance.now();
    await call(n);
    times.push(performance.now() - from);
  }
  return median(times);
}

/** A request and an answer over a connection that is kept, of raw node:http. */
async function httpMs(): Promise<number> {
  await using server = await startHttpServer("raw");
  const client = openHttpClient(server.url, 1);
  const body = `subject_token=${"x".repeat(BODY_BYTES)}`;
  const form = "content-type: application/x-www-form-urlencoded\r\n";
  const ms = await timed(() => client.request("POST", "/token", form, body));
  client.close();
  return ms;
}

async function tokenMs(): Promise<Pick<RawParts, "verify" | "sign">> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const tokens: string[] = [];
  const sign = await timed(async (n) => {
    const claims = { sub: `spiffe://bench.test/agent/${n}`, aud: "bench", task: `task_${n}` };
    const token = new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "bench" });
    tokens.push(await token.setIssuedAt().setExpirationTime("10m").sign(privateKey));
  });
  const options = { audience: "bench", algorithms: ["ES256"] };
  const verify = await timed((n) => jwtVerify(tokens[n] ?? "", publicKey, options));
  return { verify, sign };
}

function policyMs(): number {
  const compiled = createPolicyCompiler().compile([{ name: "bench.cedar", text: POLICY }]);
  if (!compiled.ok) throw new Error("the policy is not valid");
  const times: number[] = [];
  for (let n = 0; n < CALLS; n++) {
    const request = accessRequest({ workload: `spiffe://bench.test/agent/${n}` });
    const from = performance.now();
    compiled.engine.decide(request);
    times.push(performance.now() - from);
  }
  return median(times);
}

/**
 * The rows of one exchange, as it left them, into tables of the same columns and indexes: what it
 * reserves in one transaction of one message, what it activates in another.
 */
async function ledgerScript(sql: Sql, round: number): Promise<string> {
  const [sample] = await sql<{ id: string; task_id: string; decision_id: string }[]>`
    SELECT id, task_id, decision_id FROM mayfly.leases WHERE state = 'active' LIMIT 1`;
  if (sample === undefined) throw new Error("there is no lease to take as a sample");
  await sql`CREATE SCHEMA IF NOT EXISTS raw`;
  const own = (kind: number): string =>
    `('${kind}${String(round).padStart(7, "0")}-0000-7000-8000-' || lpad(to_hex(:n), 12, '0'))::uuid`;
  const rowsOf = (table: string, where: string, values: Readonly<Record<string, string>>) =>
    insertsLike(sql, table, where, values);
  const keys = { task_id: own(1), decision_id: own(2), lease_id: own(3) };
  const events = await rowsOf("events", `task_id = '${sample.task_id}'`, {
    id: "mayfly.uuid7()",
    ...keys,
  });
  await sql`CREATE TABLE IF NOT EXISTS raw.events_pending (LIKE mayfly.events_pending INCLUDING ALL)`;
  const activated = events.at(-1) ?? "";
  const reserved = [
    ...(await rowsOf("tasks", `id = '${sample.task_id}'`, { id: own(1), root_id: own(1) })),
    ...(await rowsOf("decisions", `id = '${sample.decision_id}'`, { id: own(2), ...keys })),
    ...(await rowsOf("leases", `id = '${sample.id}'`, { id: own(3), ...keys })),
    ...events.slice(0, -1),
    queued(events.length - 1),
  ];
  const activate = `UPDATE raw.leases SET version = version + 1, due_at = expires_at WHERE id = ${own(3)}`;
  return [
    "\\set n :n + 1",
    oneMessage(reserved),
    oneMessage([activate, activated, queued(1)]),
    "",
  ].join("\n");
}

const queued = (count: number): string =>
  `INSERT INTO raw.events_pending SELECT mayfly.uuid7() FROM generate_series(1, ${count})`;

const oneMessage = (statements: readonly string[]): string => `${statements.join(" \\; ")};`;

/** Each row as an INSERT of literals, but for the columns whose value is given. */
async function insertsLike(
  sql: Sql,
  table: string,
  where: string,
  values: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  await sql.unsafe(`CREATE TABLE IF NOT EXISTS raw.${table} (LIKE mayfly.${table} INCLUDING ALL)`);
  const columns = await sql<{ name: string }[]>`
    SELECT column_name AS name FROM information_schema.columns
    WHERE table_schema = 'mayfly' AND table_name = ${table} AND is_generated = 'NEVER'
    ORDER BY ordinal_position`;
  const names = columns.map(({ name }) => name);
  const literals = names.map((name) => `quote_nullable(${name}::text) AS ${name}`).join(", ");
  const found = await sql.unsafe<Record<string, string>[]>(
    `SELECT ${literals} FROM mayfly.${table} WHERE ${where} ORDER BY id`,
  );
  return found.map((row) => {
    const texts = names.map((name) => values[name] ?? row[name] ?? "NULL");
    return `INSERT INTO raw.${table} (${names.join(", ")}) VALUES (${texts.join(", ")})`;
  });
}

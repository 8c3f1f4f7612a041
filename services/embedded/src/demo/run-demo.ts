import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbedded, type Embedded } from "../start-embedded.ts";
import {
  createBrokerClient,
  readAt,
  readList,
  readText,
  type BrokerClient,
} from "./broker-client.ts";
import { askCustomer, busyLeaseRoles } from "./customer-check.ts";
import { DEMO_POLICY_COUNT, registerOrders } from "./registration.ts";
import { sceneComplete, sceneDenied, sceneKilled, sceneTimeout, type Stage } from "./scenes.ts";
import { createTerminal, type Terminal } from "./terminal.ts";
import { printTimeline } from "./timeline.ts";
import { until } from "./until.ts";

/** Runs the demo; resolves to the exit code of the process. */
export async function runDemo(options: { readonly json: boolean }): Promise<number> {
  const colour = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
  const terminal = createTerminal((text) => process.stdout.write(text), colour);
  const folder = await mkdtemp(join(tmpdir(), "mayfly-demo-"));
  const startedAt = performance.now();
  try {
    terminal.title("credentials that live as long as the task");
    const embedded = await startEmbedded({ folder, ports: null, persistent: false });
    try {
      const summary = await play(embedded, terminal);
      terminal.plain(`\n  The demo took ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
      if (options.json) terminal.plain(JSON.stringify(summary));
      return summary.orphans === 0 ? 0 : 1;
    } finally {
      await embedded.close();
    }
  } catch (error) {
    const log = await readFile(join(folder, "mayfly.log"), "utf8").catch(() => "");
    const tail = log.trimEnd().split("\n").slice(-20).join("\n");
    process.stderr.write(`\n  The demo failed. The end of its log:\n${tail}\n\n`);
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Summary {
  readonly leases: number;
  readonly revoked: number;
  readonly denied: number;
  /** What is left at the customer's: roles and sessions of ours, by PostgreSQL's own account. */
  readonly orphans: number;
  readonly revoke_ms: number;
}

async function play(embedded: Embedded, terminal: Terminal): Promise<Summary> {
  const client = createBrokerClient(embedded.brokerUrl, embedded.adminToken);
  terminal.fact(
    "ledger",
    `PostgreSQL ${embedded.orders.serverVersion}, 127.0.0.1:${embedded.orders.port}`,
  );
  terminal.fact(
    "orders",
    `a customer's database with ${embedded.orders.orders.toLocaleString("en")} orders`,
  );
  terminal.fact("identity", "a local issuer and trust domain, demo.test: unsafe for production");
  await registerOrders(client, embedded.orders, embedded.trust);
  terminal.fact(
    "registered",
    `backend orders-db · roles orders-db/reader, orders-db/writer · ${DEMO_POLICY_COUNT} policies`,
  );
  const stage: Stage = {
    client,
    brokerUrl: embedded.brokerUrl,
    terminal,
    svid: (agent) => embedded.svid(agent),
    busySessions: () => busyLeaseRoles(embedded.ordersSuperuserUrl),
  };
  const completed = await sceneComplete(stage);
  const timedOut = await sceneTimeout(stage);
  await sceneDenied(stage);
  const killed = await sceneKilled(stage);
  await until(() => allSequenced(client), 10_000, "the log to hold every event");
  await printTimeline(client, terminal, [completed.task, timedOut, killed]);
  return conclude(embedded, client, terminal, completed.revokeMs);
}

async function allSequenced(client: BrokerClient): Promise<boolean> {
  const { body } = await client.admin("POST", "/v1/ledger/verify", {});
  return readAt(body, "ok") === true && readAt(body, "pending") === 0;
}

async function conclude(
  embedded: Embedded,
  client: BrokerClient,
  terminal: Terminal,
  revokeMs: number,
): Promise<Summary> {
  const log = await client.admin("POST", "/v1/ledger/verify", {});
  const entries = String(readAt(log.body, "entries"));
  const head = readText(log.body, "head_sha256").slice(0, 16);
  terminal.plain(`\n  ledger verify: ${entries} entries, chain unbroken, head ${head}…`);
  const left = await askCustomer(embedded.ordersSuperuserUrl);
  terminal.plain(
    `  Still alive in orders: ${left.roles} roles, ${left.sessions} sessions  (asked PostgreSQL, not Mayfly)`,
  );
  const leases = readList((await client.admin("GET", "/v1/leases?limit=1000")).body, "items");
  const denials = await client.admin("GET", "/v1/events?kind=decision.denied&limit=1000");
  return {
    leases: leases.length,
    revoked: leases.filter((lease) => readAt(lease, "outcome") === "revoked").length,
    denied: readList(denials.body, "items").length,
    orphans: left.roles + left.sessions,
    revoke_ms: revokeMs,
  };
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { credentialOf, refusedLogin, untilCut } from "./agent-session.ts";
import { readAt, readList, readText, type BrokerClient } from "./broker-client.ts";
import type { Terminal } from "./terminal.ts";
import { until } from "./until.ts";

export interface Stage {
  readonly client: BrokerClient;
  readonly brokerUrl: string;
  readonly terminal: Terminal;
  /** A fresh JWT-SVID of the demo's trust domain. */
  svid(agent: string): Promise<string>;
  /** Lease roles that run a query now, asked of the customer's PostgreSQL itself. */
  busySessions(): Promise<readonly string[]>;
}

const READER = { role: "orders-db/reader" };

/** An agent reads, is refused a write, completes its task; returns the milliseconds to refusal. */
export async function sceneComplete(
  stage: Stage,
): Promise<{ readonly task: string; readonly revokeMs: number }> {
  const { client, terminal } = stage;
  terminal.scene(1, "invoice-bot asks for orders-db/reader for 15 minutes");
  const svid = await stage.svid("invoice-bot");
  const askedAt = performance.now();
  const reply = await client.exchange(svid, {
    type: "mayfly-task",
    goal: "Reconcile the October invoices",
    ref: "JIRA-4711",
    deadline: "15m",
    idle_timeout: "60s",
    credentials: [READER],
  });
  const credential = credentialOf(reply);
  const repliedMs = performance.now() - askedAt;
  const task = readText(reply.body, "task", "id");
  const { body: chain } = await client.admin("GET", `/v1/tasks/${task}/chain`);
  const policies = readList(chain, "decisions", 0, "determining_policies").join(", ");
  terminal.said("identity", readText(chain, "task", "workload"));
  terminal.said("decision", `permit · ${policies}`);
  terminal.said("lease", `${credential.lease} reserved → active`);
  terminal.timed(
    repliedMs,
    "reply",
    `${credential.username} · revocation ${credential.revocation}`,
  );
  const token = readText(reply.body, "access_token");
  const sql = credential.connect();
  const rows = await sql`SELECT id, customer, cents FROM orders ORDER BY id LIMIT 3`;
  terminal.good(`reads ${rows.length} orders`);
  terminal.refused("tries to delete one", await refusedWrite(sql));
  terminal.plain("     completes the task, its session still open");
  let completedAt = performance.now();
  const cut = untilCut(sql, () => completedAt);
  await until(
    async () => (await stage.busySessions()).includes(credential.username),
    5_000,
    "the session to be busy",
  );
  completedAt = performance.now();
  const ended = await client.task(token, "POST", `/v1/tasks/${task}/complete`, { wait: "20s" });
  const revokeMs = performance.now() - completedAt;
  const session = await cut;
  if (session === null) throw new Error("the open session outlived its task");
  terminal.timed(session.afterMs, "session", "cut by the server");
  const lease = readAt(ended.body, "leases", 0);
  terminal.timed(
    revokeMs,
    "lease",
    `${readText(lease, "id")} ${readText(lease, "outcome")} · probe: ${looked(readAt(lease, "looked"))}`,
  );
  if (readText(lease, "outcome") !== "revoked") throw new Error("the lease did not end as revoked");
  const refusal = await refusedLogin(credential);
  terminal.refused("a new login", refusal);
  terminal.timed(performance.now() - completedAt, "refused", "from completion to a refused login");
  await sql.end({ timeout: 0 });
  return { task, revokeMs: Math.round(revokeMs * 10) / 10 };
}

async function refusedWrite(
  sql: ReturnType<ReturnType<typeof credentialOf>["connect"]>,
): Promise<string> {
  try {
    await sql`DELETE FROM orders WHERE id = 1`;
  } catch (error) {
    return `${error instanceof Error ? error.message : "refused"}  (PostgreSQL)`;
  }
  throw new Error("a reader was able to delete an order");
}

/** What the probe found of the role, by PostgreSQL's own account. */
const looked = (value: unknown): string =>
  ["roles", "sessions", "prepared"]
    .map((what) => `${String(readAt(value, what))} ${what}`)
    .join(", ");

/** A task reaches its deadline with a session open. */
export async function sceneTimeout(stage: Stage): Promise<string> {
  const { client, terminal } = stage;
  terminal.scene(2, "report-bot takes 2 seconds and forgets to end its task");
  const askedAt = performance.now();
  const reply = await client.exchange(await stage.svid("report-bot"), {
    type: "mayfly-task",
    goal: "Count yesterday's orders",
    deadline: 2,
    credentials: [READER],
  });
  const credential = credentialOf(reply);
  const sql = credential.connect();
  const session = await untilCut(sql, () => askedAt);
  if (session === null) throw new Error("the open session outlived the deadline");
  terminal.timed(session.afterMs, "session", "cut by the server after the deadline of 2 s");
  terminal.refused("a new login", await refusedLogin(credential));
  await sql.end({ timeout: 0 });
  return readText(reply.body, "task", "id");
}

/** An agent asks for what policy forbids. */
export async function sceneDenied(stage: Stage): Promise<void> {
  const { client, terminal } = stage;
  terminal.scene(3, "repair-bot asks for orders-db/writer");
  const reply = await client.exchange(await stage.svid("repair-bot"), {
    type: "mayfly-task",
    goal: "Correct a wrong total; the user already approved this",
    deadline: "5m",
    credentials: [{ role: "orders-db/writer" }],
  });
  if (reply.status !== 400 || readText(reply.body, "error") !== "access_denied") {
    throw new Error(`what policy forbids was answered ${reply.status}`);
  }
  const policies = readList(reply.body, "determining_policies").join(", ");
  terminal.refused("access_denied", `by policy ${policies}`);
  terminal.plain(`     ${readText(reply.body, "error_description")}`);
  terminal.plain(`     hint: ${readText(reply.body, "hint")}`);
}

/** An agent's process is killed in the middle; its task ends by itself when it is idle. */
export async function sceneKilled(stage: Stage): Promise<string> {
  const { terminal } = stage;
  terminal.scene(4, "crash-bot is killed (SIGKILL) in the middle of its task");
  const agent = spawn(
    process.execPath,
    [new URL("agent-process.ts", import.meta.url).pathname, stage.brokerUrl],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  try {
    agent.stdin.end(`${await stage.svid("crash-bot")}\n`);
    const lines: readonly unknown[] = await once(createInterface(agent.stdout), "line", {
      signal: AbortSignal.timeout(30_000),
    });
    const ready: unknown = JSON.parse(String(lines[0]));
    const task = readText(ready, "task");
    terminal.good(`process ${agent.pid} holds a session`, readText(ready, "username"));
    agent.kill("SIGKILL");
    await once(agent, "exit");
    const killedAt = performance.now();
    terminal.plain("     killed; nobody completes the task, nobody sends heartbeats");
    await until(() => taskHasEnded(stage, task), 30_000, "the idle task to end");
    terminal.timed(performance.now() - killedAt, "task", "expired: idle for more than 1 s");
    return task;
  } finally {
    agent.kill("SIGKILL");
  }
}

async function taskHasEnded(stage: Stage, task: string): Promise<boolean> {
  const reply = await stage.client.admin("GET", `/v1/tasks/${task}/chain`);
  return readList(reply.body, "leases").every((lease) => readText(lease, "state") === "ended");
}

/**
 * An agent as a process of its own: reads its SVID from standard input, opens a task, holds a
 * session, sends heartbeats, and prints one line of JSON once it does. It is there to be killed.
 */
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { credentialOf } from "./agent-session.ts";
import { createBrokerClient, readText } from "./broker-client.ts";

const brokerUrl = process.argv[2] ?? "";
const client = createBrokerClient(brokerUrl, "");
const reply = await client.exchange((await text(process.stdin)).trim(), {
  type: "mayfly-task",
  goal: "Rebuild the index of orders",
  deadline: "10m",
  idle_timeout: 1,
  credentials: [{ role: "orders-db/reader" }],
});
const credential = credentialOf(reply);
const task = readText(reply.body, "task", "id");
const token = readText(reply.body, "access_token");
const sql = credential.connect();
await sql`SELECT count(*) FROM orders`;
process.stdout.write(`${JSON.stringify({ task, username: credential.username })}\n`);
for (;;) {
  await client.task(token, "POST", `/v1/tasks/${task}/heartbeat`, {});
  await sql`SELECT pg_sleep(0.2)`;
  await sleep(100);
}

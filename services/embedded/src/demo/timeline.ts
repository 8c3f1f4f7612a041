import { readAt, readList, readText, type BrokerClient } from "./broker-client.ts";
import type { Terminal } from "./terminal.ts";

/** Prints what the ledger recorded of the tasks, one line per event, in the ledger's own time. */
export async function printTimeline(
  client: BrokerClient,
  terminal: Terminal,
  tasks: readonly string[],
): Promise<void> {
  terminal.plain("\n  The ledger, as a security team reads it");
  for (const task of tasks) {
    const { body } = await client.admin("GET", `/v1/tasks/${task}/chain`);
    const agent = readText(body, "task", "workload").split("/").at(-1) ?? "";
    terminal.plain(
      `\n  ${task}  ${readText(body, "task", "goal")}  (${agent})  ${readText(body, "task", "state")}`,
    );
    let before = Date.parse(readText(body, "task", "opened_at"));
    for (const event of inOrder(readList(body, "events"))) {
      const at = Date.parse(readText(event, "at"));
      const step = `+${at - before} ms`.padStart(11);
      terminal.plain(`  ${readText(event, "at").slice(11, 23)} ${step}  ${described(event)}`);
      before = at;
    }
  }
}

const inOrder = (events: readonly unknown[]): readonly unknown[] =>
  events.toSorted(
    (a, b) =>
      Number(readAt(a, "log_index") ?? Number.MAX_SAFE_INTEGER) -
        Number(readAt(b, "log_index") ?? Number.MAX_SAFE_INTEGER) ||
      readText(a, "id").localeCompare(readText(b, "id")),
  );

function described(event: unknown): string {
  const kind = readText(event, "kind").padEnd(20);
  const index = readAt(event, "log_index");
  const where = typeof index === "number" ? `log ${index}` : "";
  return `${kind} ${subject(event).padEnd(38)} ${where}`.trimEnd();
}

function subject(event: unknown): string {
  const kind = readText(event, "kind");
  const member = kind.startsWith("decision.")
    ? "decision"
    : kind.startsWith("lease.")
      ? "lease"
      : "task";
  const id = readAt(event, member);
  return typeof id === "string" ? id : "";
}

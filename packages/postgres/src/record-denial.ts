import type { Denial } from "@mayfly/spec";
import { appendEvents, type NewEvent } from "./append-events.ts";
import { createCommitter, type Committer } from "./committer.ts";
import { decisionData, insertDecisions } from "./decision-rows.ts";
import type { RetryPorts } from "./retry.ts";
import type { Sql } from "./sql.ts";

/** Group commit of denials: durable before their reply, and cheap when there are many. */
export const createRecordDenial = (ports: RetryPorts, sql: Sql): Committer<Denial, void> =>
  createCommitter<Denial, void>(ports, {
    name: "denials",
    run: async (denials, _mode, signal) => {
      await sql.begin((tx) => {
        signal.throwIfAborted();
        return Promise.all([insertDecisions(tx, denials), appendEvents(tx, denials.map(eventOf))]);
      });
      return denials.map(() => ({ kind: "done", result: undefined }));
    },
    keys: () => [],
  });

function eventOf(denial: Denial): NewEvent {
  const { decision, workload } = denial;
  return {
    kind: decision.verdict.effect === "permit" ? "decision.permitted" : "decision.denied",
    actor: { kind: "workload", name: workload },
    taskId: decision.taskId,
    decisionId: decision.id,
    data: decisionData(denial),
  };
}

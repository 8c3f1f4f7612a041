import type { Denial, TokenUse } from "@mayfly/spec";
import { appendEvents, type NewEvent } from "./append-events.ts";
import { createCommitter, type Committer } from "./committer.ts";
import { decisionData, insertDecisions } from "./decision-rows.ts";
import { isUseOf, replayed } from "./judge-reservation.ts";
import { oneTimeKey, readOneTime } from "./reserve-facts.ts";
import { insertTokens } from "./reserve-writes.ts";
import type { RetryPorts } from "./retry.ts";
import type { Sql, Transaction } from "./sql.ts";

/** Group commit of denials: durable before their reply, and cheap when there are many. */
export const createRecordDenial = (ports: RetryPorts, sql: Sql): Committer<Denial, void> =>
  createCommitter<Denial, void>(ports, {
    name: "denials",
    run: async (denials, _mode, signal) => {
      const replays = await sql.begin(async (tx) => {
        signal.throwIfAborted();
        const uses = denials.flatMap(({ tokenUse }) => tokenUse ?? []);
        const [lost] = await Promise.all([
          uses.length > 0 ? useTokens(tx, uses) : NO_REPLAYS,
          insertDecisions(tx, denials),
          appendEvents(tx, denials.map(eventOf)),
        ]);
        return lost;
      });
      return denials.map(({ tokenUse }) =>
        tokenUse !== undefined && replays.has(oneTimeKey(tokenUse.oneTime))
          ? { kind: "refused", error: replayed() }
          : { kind: "done", result: undefined },
      );
    },
    keys: ({ tokenUse }) =>
      tokenUse === undefined ? [] : [`token ${oneTimeKey(tokenUse.oneTime)}`],
  });

const NO_REPLAYS: ReadonlySet<string> = new Set();

/** Keys of the tokens that another request used before. */
async function useTokens(tx: Transaction, uses: readonly TokenUse[]): Promise<ReadonlySet<string>> {
  // The second statement sees the row of whoever won the first.
  const [claimed, facts] = await Promise.all([
    insertTokens(tx, uses),
    readOneTime(
      tx,
      uses.map(({ oneTime }) => oneTime),
    ),
  ]);
  const won = new Set(claimed.map(oneTimeKey));
  const rows = new Map(facts.map((row) => [oneTimeKey(row), row]));
  const others = uses.filter((use) => {
    const row = rows.get(oneTimeKey(use.oneTime));
    return !won.has(oneTimeKey(use.oneTime)) && (row === undefined || !isUseOf(row, use));
  });
  return new Set(others.map(({ oneTime }) => oneTimeKey(oneTime)));
}

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

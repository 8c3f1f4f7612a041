import { BrokerError, type ProofUses } from "@mayfly/spec";
import { createCommitter, type BatchResult, type Committer } from "./committer.ts";
import type { RetryPorts } from "./retry.ts";
import { rows, type Sql } from "./sql.ts";

type Use = Parameters<ProofUses["record"]>[0];

/**
 * Group commit of proofs: one round trip and one commit for those that came meanwhile, where each
 * exchange with a proof paid for both. Answers whether a use is the first; one that expires takes
 * its row with it in a later call.
 */
export const createRecordProofUse = (ports: RetryPorts, sql: Sql): Committer<Use, boolean> =>
  createCommitter<Use, boolean>(ports, {
    name: "proofs",
    run: async (uses, _mode, signal) => {
      signal.throwIfAborted();
      const told = await sql<{ sha256: string; is_first: boolean }[]>`
        SELECT w.sha256, mayfly.use_proof(decode(w.sha256, 'hex'), mayfly.instant(w.expires_ms))
          AS is_first
        FROM jsonb_to_recordset(${rows(inOneOrder(uses).map(rowOf))}::text::jsonb)
          AS w (sha256 text, expires_ms float8)`;
      const isFirst = new Map(told.map((row) => [row.sha256, row.is_first]));
      return uses.map(({ sha256 }) => outcomeOf(isFirst.get(sha256)));
    },
    keys: ({ sha256 }) => [sha256],
  });

/** Two brokers that are sent the same proofs wait for one another's in no circle. */
const inOneOrder = (uses: readonly Use[]): readonly Use[] =>
  uses.toSorted((a, b) => (a.sha256 < b.sha256 ? -1 : 1));

const rowOf = ({ sha256, expiresAt }: Use) => ({ sha256, expires_ms: expiresAt });

const outcomeOf = (isFirst: boolean | undefined): BatchResult<boolean> =>
  isFirst === undefined
    ? { kind: "refused", error: new BrokerError("internal", "The ledger said nothing of a proof.") }
    : { kind: "done", result: isFirst };

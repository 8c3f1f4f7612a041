import {
  parseBackendId,
  type BackendCheck,
  type BackendId,
  type InstantMs,
  type JsonObject,
  type SelfCheck,
} from "@mayfly/spec";
import { json, type Statement } from "./sql.ts";

/** As stored; what is read back was written here, by this version or an earlier one. */
interface StoredCheck {
  readonly revision: number;
  readonly outcome: BackendCheck["outcome"];
}

const storedCheck = (check: SelfCheck): JsonObject => ({
  upstreamIdentity: check.upstreamIdentity,
  clockSkewMs: check.clockSkewMs,
  facts: check.facts,
  problems: check.problems.map((problem) => ({ ...problem })),
});

/** Beside the backend's row: looking is no change, and raises no version. */
export async function recordCheck(
  sql: Statement,
  id: BackendId,
  { revision, outcome }: StoredCheck,
): Promise<void> {
  const stored: JsonObject = {
    revision,
    outcome:
      outcome.kind === "failed"
        ? { ...outcome }
        : { kind: outcome.kind, check: storedCheck(outcome.check) },
  };
  await sql`
    UPDATE mayfly.backends SET last_check = ${json(stored)}::text::jsonb
      || jsonb_build_object('checkedMs', floor(extract(epoch FROM now()) * 1000))
    WHERE id = ${id} AND deleted_at IS NULL`;
}

export async function readChecks(sql: Statement): Promise<ReadonlyMap<BackendId, BackendCheck>> {
  const rows = await sql<{ id: string; last_check: StoredCheck & { checkedMs: InstantMs } }[]>`
    SELECT id, last_check FROM mayfly.backends
    WHERE deleted_at IS NULL AND last_check IS NOT NULL`;
  return new Map(
    rows.map(({ id, last_check: { revision, outcome, checkedMs } }) => [
      parseBackendId(id, "backend"),
      { checkedAt: checkedMs, revision, outcome },
    ]),
  );
}

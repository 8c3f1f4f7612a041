import { uuidOfId, type LeaseId } from "@mayfly/spec";
import type { LogProblem } from "./compare-told-rows.ts";
import { hex, type Statement } from "./sql.ts";

/** Where the log begins since old months left it. */
export interface LogCut {
  readonly logIndex: number;
  /** Chain hash of the entry before it. */
  readonly chain: Uint8Array;
  /** Rows with an older id left too. */
  readonly keptFromId: string;
}

export const NIL_UUID = "00000000-0000-0000-0000-000000000000";
/** Ids are minted by processes, events by the server: their clocks differ by less than this. */
const CLOCKS_MS = 3_600_000;

/** The newest one; null: nothing ever left. */
export async function readLogCut(sql: Statement): Promise<LogCut | null> {
  const [row] = await sql<{ log_index: number; chain_hash: Uint8Array; kept_from_id: string }[]>`
    SELECT log_index::float8 AS log_index, chain_hash, kept_from_id FROM mayfly_audit.log_cuts
    ORDER BY log_index DESC LIMIT 1`;
  if (row === undefined) return null;
  return { logIndex: row.log_index, chain: row.chain_hash, keptFromId: row.kept_from_id };
}

/** From this id on, rows stand beside all of their events; between, an event may have left. */
export function settledFromId({ keptFromId }: LogCut): string {
  const ms = Number.parseInt(keptFromId.replaceAll("-", "").slice(0, 12), 16) + CLOCKS_MS;
  const later: LeaseId = `lease_${ms.toString(16).padStart(12, "0")}${"0".repeat(20)}` as LeaseId;
  return uuidOfId(later);
}

/** A cut holds if the log itself tells of it, and the entry before it is the one that it names. */
export async function cutProblem(sql: Statement, cut: LogCut): Promise<LogProblem | null> {
  const { logIndex } = cut;
  const chain = hex(cut.chain);
  const [found] = await sql<{ told: boolean; same: boolean }[]>`
    SELECT EXISTS (
        SELECT FROM mayfly_audit.events AS e WHERE e.kind = 'ledger.cut'
          AND e.data @> jsonb_build_object('logIndex', ${logIndex}::float8::bigint,
            'chainSha256', ${chain}::text, 'keptFromId', ${cut.keptFromId}::text)) AS told,
      EXISTS (
        SELECT FROM mayfly_audit.log_entries AS l
        WHERE l.log_index = ${logIndex - 1}::float8::bigint
          AND l.chain_hash = decode(${chain}, 'hex')) AS same`;
  if (found?.told !== true) {
    const problem = `the cut before entry ${logIndex} is one that no event tells of`;
    return { ok: false, logIndex, problem };
  }
  if (found.same) return null;
  const problem = `the cut before entry ${logIndex} has another hash than the entry before it`;
  return { ok: false, logIndex: logIndex - 1, problem };
}

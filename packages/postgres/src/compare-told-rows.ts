import type { LogVerification } from "@mayfly/spec";

/** Rows compared at once. */
export const TOLD_PAGE = 1000;

export type LogProblem = Extract<LogVerification, { ok: false }>;

/** A row beside the event that tells of it. */
export interface Told {
  readonly log_index: number;
  /** Null when the row is gone. */
  readonly id: string | null;
  /** Of what its hash cannot see, something is not as it was written. */
  readonly is_altered: boolean;
}

/** Compares page by page, from log index `from` on; the first row that differs is the problem. */
export async function compareToldRows<Row extends Told>(
  what: string,
  from: number,
  readPage: (from: number) => Promise<readonly Row[]>,
  isTold: (row: Row, id: string) => boolean,
): Promise<LogProblem | null> {
  let next = from;
  for (;;) {
    const page = await readPage(next);
    for (const row of page) {
      if (row.id === null) return differs(what, row, "is missing");
      if (row.is_altered || !isTold(row, row.id)) {
        return differs(what, row, "is not what was recorded: it was altered");
      }
      next = row.log_index + 1;
    }
    if (page.length < TOLD_PAGE) return null;
  }
}

const differs = (what: string, { log_index: logIndex }: Told, how: string): LogProblem => ({
  ok: false,
  logIndex,
  problem: `the ${what} of entry ${logIndex} ${how}`,
});

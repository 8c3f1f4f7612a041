import { toCliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import type { Session } from "../session.ts";
import { withPlace, type Exported, type RangeSource } from "./export-log.ts";
import { openLineSink } from "./line-sink.ts";
import { createLogCopy, type LogCopy } from "./log-copy.ts";

export interface FollowOptions {
  readonly from: number;
  readonly output: string | null;
}

/** Entries of one range, which is held in memory until it is whole. */
const RANGE_MAX = 500;
/** Between two looks for new entries. */
const LOOK_MS = 1000;
/** Between two tries while nobody answers, at most. */
const RETRY_MS_MAX = 30_000;

/**
 * Exports what there is, then what comes, until the user interrupts or SIGTERM comes. Once the
 * first range was read, a broker or database that does not answer is waited for; what was refused
 * ends it. Only whole ranges are written: what is there verifies, whatever ends it.
 */
export async function followLog(
  session: Session,
  source: RangeSource,
  { from, output }: FollowOptions,
): Promise<Exported> {
  const { io } = session;
  const stop = AbortSignal.any([io.interrupts(), io.terminations()]);
  const sink = await openLineSink(session, output);
  const copy = createLogCopy(sink, from);
  let failures = 0;
  const lookOnce = async (): Promise<number> => {
    try {
      const more = await look(copy, source);
      failures = 0;
      return more ? 0 : LOOK_MS;
    } catch (error) {
      if (stop.aborted) return 0;
      const failure = toCliError(error);
      const mayPass = failure.parts.exit === EXIT.unavailable && copy.head() !== null;
      if (!mayPass) throw withPlace(failure, copy.next());
      if (failures === 0) session.note(`${failure.parts.what} Trying again from ${copy.next()}.`);
      return Math.min(RETRY_MS_MAX, LOOK_MS * 2 ** failures++);
    }
  };
  try {
    while (!stop.aborted) {
      const waitMs = await lookOnce();
      if (waitMs > 0) await io.clock.sleep(waitMs, stop).catch(() => undefined);
    }
  } finally {
    await sink.close();
  }
  return { from, until: copy.next(), head_hash: copy.head() };
}

/** Whether the log had more than what was read. The first range is written even if it is empty. */
async function look(copy: LogCopy, source: RangeSource): Promise<boolean> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source.read(copy.next(), RANGE_MAX)) pieces.push(piece);
  const range = await copy.wholeRange(Buffer.concat(pieces));
  return range.until < range.log_entries;
}

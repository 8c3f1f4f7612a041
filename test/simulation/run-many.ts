import { Strikes } from "./faults.ts";
import { runHistory, type History } from "./run-history.ts";

export interface ManyHistories {
  readonly histories: number;
  readonly lifecycles: number;
  readonly strikes: Strikes;
  /** The first that went wrong; the run ended with it. */
  readonly failed: History | null;
}

/**
 * Histories of `<seed>/0`, `<seed>/1`, …, until there were that many lifecycles, one fails, or
 * `stop` is aborted.
 */
export async function runMany(
  seed: string,
  lifecycles: number,
  progress: (done: number) => void = () => undefined,
  stop?: AbortSignal,
): Promise<ManyHistories> {
  const strikes = new Strikes();
  let done = 0;
  let histories = 0;
  while (done < lifecycles && stop?.aborted !== true) {
    const history = await runHistory({ seed: `${seed}/${histories++}` });
    done += history.lifecycles;
    strikes.addAll(history.strikes);
    if (history.violations.length > 0) {
      return { histories, lifecycles: done, strikes, failed: history };
    }
    progress(done);
  }
  return { histories, lifecycles: done, strikes, failed: null };
}

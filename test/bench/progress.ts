import type { Clock } from "@mayfly/spec";

/** What a person who waits for an hour is told meanwhile. */
export interface Progress extends AsyncDisposable {
  /** Another row begins; of the one before it is told how long it took. */
  begin(name: string, title: string): void;
  say(line: string): void;
}

export interface ProgressPorts {
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  readonly write: (line: string) => void;
}

/** After so long without a word it is said that there is nothing new, and of what. */
export const SILENT_MS_MAX = 30_000;

/** Each line with how long the run has taken until then. */
export function openProgress({ clock, write }: ProgressPorts): Progress {
  const startMs = clock.monotonicMs();
  let row: { readonly name: string; readonly fromMs: number } | null = null;
  let toldMs = startMs;
  const took = (fromMs: number): string => {
    const seconds = Math.floor((clock.monotonicMs() - fromMs) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  };
  const told = (line: string): void => {
    write(`  ${took(startMs)} … ${line}`);
    toldMs = clock.monotonicMs();
  };
  const end = (): void => {
    if (row !== null) told(`${row.name} took ${took(row.fromMs)}`);
    row = null;
  };
  const closed = new AbortController();
  const watch = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(toldMs + SILENT_MS_MAX - clock.monotonicMs(), closed.signal);
      if (clock.monotonicMs() - toldMs < SILENT_MS_MAX) continue;
      told(row === null ? "at work" : `at work, ${took(row.fromMs)} in this row`);
    }
  };
  const watching = watch().catch(() => undefined);
  return {
    say: told,
    begin: (name, title) => {
      end();
      told(`${name}: ${title}`);
      row = { name, fromMs: clock.monotonicMs() };
    },
    [Symbol.asyncDispose]: async () => {
      closed.abort();
      await watching;
      end();
    },
  };
}

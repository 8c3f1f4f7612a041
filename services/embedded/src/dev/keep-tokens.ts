import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@mayfly/spec";

/** Of five minutes that a token lives: who reads a file has at least half of that left. */
const RENEWED_AFTER_MS = 120_000;

export interface KeptTokens {
  /** The files' folder; made if it is not there, readable by us alone. */
  readonly folder: string;
  /** A fresh token for each, by the name of its file. */
  readonly tokens: Readonly<Record<string, () => Promise<string>>>;
  readonly clock: Clock;
  /** Called with each failure to write; the next attempt comes as if there had been none. */
  readonly failed: (error: unknown) => void;
}

/**
 * Writes tokens of workloads into files, and fresh ones again and again, as an agent of SPIRE does
 * on a real machine. Resolves when all files are there.
 */
export async function keepTokens(kept: KeptTokens): Promise<AsyncDisposable> {
  const { folder, clock, failed } = kept;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeTokens(kept);
  const stop = new AbortController();
  const renewing = (async () => {
    while (await sleptWhole(clock, stop.signal)) await writeTokens(kept).catch(failed);
  })();
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await renewing;
    },
  };
}

const sleptWhole = (clock: Clock, signal: AbortSignal): Promise<boolean> =>
  clock.sleep(RENEWED_AFTER_MS, signal).then(
    () => true,
    () => false,
  );

/** Whoever reads a file meanwhile reads the old token or the new one, whole. */
async function writeTokens({ folder, tokens }: KeptTokens): Promise<void> {
  for (const [name, fresh] of Object.entries(tokens)) {
    const next = join(folder, `.${name}.next`);
    await writeFile(next, await fresh(), { mode: 0o600 });
    await rename(next, join(folder, name));
  }
}

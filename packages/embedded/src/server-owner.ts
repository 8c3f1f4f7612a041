import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EmbeddedError, systemCodeOf } from "./embedded-error.ts";
import { runsIn, startMarkOf } from "./process-table.ts";
import { waitUntil } from "./wait-until.ts";

const ownerFile = "mayfly.owner";

/** Writes down, in `directory`, that the server there belongs to this process. */
export async function claim(directory: string): Promise<void> {
  const mark = await startMarkOf(process.pid);
  await writeFile(join(directory, ownerFile), `${process.pid} ${mark ?? ""}\n`, { mode: 0o600 });
}

/** The id of the living process that claimed `directory`, or `undefined`. */
export async function livingOwnerOf(directory: string): Promise<number | undefined> {
  const text = await readIfThere(join(directory, ownerFile));
  const [, pid, mark] = /^(\d+) (.+)\n$/.exec(text ?? "") ?? [];
  if (pid === undefined || mark === undefined) return undefined;
  return (await startMarkOf(Number(pid))) === mark ? Number(pid) : undefined;
}

export interface EarlierServer {
  /** The server's directory, without symbolic links. */
  readonly directory: string;
  /** The beginning of its executable's name: `postgres`. */
  readonly program: string;
  /** The file of `directory` whose first line is the server's process id. */
  readonly pidFile: string;
  /** What to send it, in turn, each with the time that it has to end. */
  readonly signals: readonly { readonly signal: NodeJS.Signals; readonly graceMs: number }[];
  readonly log: (line: string) => void;
}

/**
 * What an earlier start left in a directory: nothing; `stopped`, a server whose owner had died,
 * and that has now ended; or `stranger`, a process that is no server of this directory but has
 * the id that the file names.
 */
export type Leftover = "nothing" | "stopped" | "stranger";

/**
 * Ends a server whose owner died without it. Signals a process only after seeing that it is that
 * program in that directory.
 * @throws EmbeddedError when the server's owner lives, or when the server does not end.
 */
export async function endEarlierServer(earlier: EarlierServer): Promise<Leftover> {
  const { directory, program, pidFile, signals, log } = earlier;
  const text = await readIfThere(join(directory, pidFile));
  const pid = Number.parseInt(text ?? "", 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) return "nothing";
  if (!(await runsIn(pid, program, directory))) {
    return (await startMarkOf(pid)) === undefined ? "nothing" : "stranger";
  }
  const owner = await livingOwnerOf(directory);
  if (owner !== undefined) {
    throw new EmbeddedError({
      what: `a ${program} server is already running in this directory`,
      where: directory,
      why: `it is process ${pid} and belongs to process ${owner}, which is alive`,
      remedy: `Stop process ${owner} first, or choose another directory.`,
    });
  }
  for (const { signal, graceMs } of signals) {
    log(`ending ${program} process ${pid}, left behind in ${directory} (${signal})`);
    if (await endsAfter(pid, signal, graceMs)) return "stopped";
  }
  throw new EmbeddedError({
    what: `a ${program} server that was left behind does not end`,
    where: directory,
    why: `process ${pid} outlived ${signals.map(({ signal }) => signal).join(" and ")}`,
    remedy: `Look at what it is doing, and end it: kill ${pid}`,
  });
}

async function endsAfter(pid: number, signal: NodeJS.Signals, graceMs: number): Promise<boolean> {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    if (systemCodeOf(thrown) !== "ESRCH") throw thrown;
  }
  const gone = await waitUntil(
    async () => ((await startMarkOf(pid)) === undefined ? true : undefined),
    { deadlineMs: graceMs, everyMs: 20 },
  );
  return gone === true;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") return undefined;
    throw thrown;
  }
}

import { EXIT, noPrompts, runCli, type Io } from "@mayfly/cli";
import { systemClock, systemRandom } from "@mayfly/host";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Place {
  /** Where the command is typed; this process goes there and back. */
  readonly folder: string;
  readonly environment: Io["environment"];
  /** Standard input, which is no terminal. */
  readonly input: string;
}

/** `mayfly` with these words, without the time that a process of its own takes to start. */
export async function runInProcess(words: readonly string[], place: Place): Promise<Ran> {
  let [out, err] = ["", ""];
  const back = process.cwd();
  process.chdir(place.folder);
  try {
    const io: Io = {
      out: (text) => (out += text),
      written: () => Promise.resolve(null),
      err: (text) => (err += text),
      colours: { out: false, err: false },
      interactive: false,
      ask: () => Promise.resolve(""),
      prompts: () => Promise.resolve(noPrompts),
      readSecret: () => Promise.resolve(place.input),
      readInput: () => Promise.resolve(place.input),
      interrupts: () => new AbortController().signal,
      terminations: () => new AbortController().signal,
      environment: place.environment,
      clock: systemClock,
      random: systemRandom,
      fetch,
      timeZone: "UTC",
    };
    const code = await runCli(words, io, "0.0.0");
    if (code === EXIT.defect) throw new Error(`mayfly ${words.join(" ")} failed: ${err}`);
    return { code, out, err };
  } finally {
    process.chdir(back);
  }
}

import { instantMs } from "@mayfly/spec";
import { createFakeClock, seededRandom } from "@mayfly/testkit";
import { noPrompts, runCli, type Io } from "../index.ts";
import { NOW, TOKEN } from "./broker-answers.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
/** One command line in this process, as nobody's terminal. */
export async function runAgainst(url: string, line: string, more: Partial<Io> = {}): Promise<Ran> {
  let [out, err] = ["", ""];
  const io: Io = {
    out: (text) => (out += text),
    written: () => Promise.resolve(null),
    err: (text) => (err += text),
    colours: { out: false, err: false },
    interactive: false,
    ask: () => Promise.reject(new Error("nobody is there to ask")),
    prompts: () => Promise.resolve(noPrompts),
    readSecret: () => Promise.resolve(""),
    readInput: () => Promise.resolve(""),
    interrupts: () => new AbortController().signal,
    terminations: () => new AbortController().signal,
    environment: { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN },
    clock: createFakeClock(instantMs(Date.parse(NOW))),
    random: seededRandom(1),
    fetch,
    timeZone: "UTC",
    ...more,
  };
  const code = await runCli(line.split(" "), io, "1.2.3");
  return { code, out, err };
}

import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { systemClock, systemRandom } from "@mayfly/host";
import { interruption } from "./api/interruptible-api.ts";
import { configError } from "./cli-error.ts";
import { codeOf } from "./ledger-files/system-code.ts";
import type { Fetch, Io } from "./io.ts";
import { createPaint } from "./render/paint.ts";

const INPUT_BYTES_MAX = 1024 * 1024;

/** The terminal, the files and the network of this process. */
export function processIo(environment: Io["environment"], fetchFromNetwork: Fetch): Io {
  const { stdin, stdout, stderr } = process;
  const plain = (environment["NO_COLOR"] ?? "") !== "" || environment["TERM"] === "dumb";
  let lost: string | null = null;
  stdout.on("error", (error) => {
    lost ??= codeOf(error);
  });
  return {
    out: (text) => {
      if (lost === null) stdout.write(text);
    },
    written: async () => {
      if (lost !== null) return lost;
      // An error of an earlier write is this one's too, and told here before the event.
      return await new Promise((resolve) => {
        stdout.write("", (error) => {
          if (error) lost ??= codeOf(error);
          resolve(lost);
        });
      });
    },
    err: (text) => {
      stderr.write(text);
    },
    colours: { out: stdout.isTTY && !plain, err: stderr.isTTY && !plain },
    interactive: stdin.isTTY && stderr.isTTY,
    ask: async (question) => {
      const lines = createInterface({ input: stdin, output: stderr });
      // Without it, an end of input would leave the question open for ever.
      const closed = new AbortController();
      lines.once("close", () => closed.abort());
      let interrupted = false;
      lines.once("SIGINT", () => {
        interrupted = true;
        lines.close();
      });
      try {
        return await lines.question(question, { signal: closed.signal });
      } catch (error) {
        if (interrupted) throw interruption(0, null);
        if (closed.signal.aborted) return "";
        throw error;
      } finally {
        lines.close();
      }
    },
    prompts: async () => {
      const { terminalPrompts } = await import("./prompts/terminal-prompts.ts");
      return terminalPrompts({
        input: stdin,
        output: stderr,
        paint: createPaint(stderr.isTTY && !plain),
        marksPastes: environment["TERM"] !== "dumb",
      });
    },
    readSecret: (question) => (stdin.isTTY ? askUnseen(question) : readAll()),
    readInput: readAll,
    interrupts: () => abortedBy("SIGINT"),
    terminations: () => abortedBy("SIGTERM"),
    environment,
    clock: systemClock,
    random: systemRandom,
    fetch: fetchFromNetwork,
    timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
}

const heeded = new Map<"SIGINT" | "SIGTERM", AbortSignal>();

/** A second one ends the process as ever: the first one may wait for an answer. */
function abortedBy(signal: "SIGINT" | "SIGTERM"): AbortSignal {
  const known = heeded.get(signal);
  if (known !== undefined) return known;
  const controller = new AbortController();
  heeded.set(signal, controller.signal);
  process.once(signal, () => controller.abort());
  return controller.signal;
}

/** What is typed or pasted goes nowhere: readline echoes to an output that swallows it. */
async function askUnseen(question: string): Promise<string> {
  const { stdin, stderr } = process;
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nowhere, terminal: true });
  const closed = new AbortController();
  lines.once("close", () => closed.abort());
  stderr.write(question);
  try {
    return await lines.question("", { signal: closed.signal });
  } catch (error) {
    if (closed.signal.aborted) return "";
    throw error;
  } finally {
    lines.close();
    stderr.write("\n");
  }
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    bytes += buffer.length;
    if (bytes > INPUT_BYTES_MAX) throw configError("It is longer than 1 MiB.", "standard input");
    chunks.push(buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

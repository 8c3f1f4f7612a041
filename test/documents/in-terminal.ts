import { spawn } from "node:child_process";
import { once } from "node:events";

export interface TypedCommand {
  readonly text: string;
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** What is typed when it asks; nothing more comes, and its input does not end. */
  readonly answer: string;
  readonly msMax: number;
}

/** Types a command in a bash in a terminal of its own: what asks before it acts shall ask. */
export async function inTerminal(
  typed: TypedCommand,
): Promise<{ readonly status: number | null; readonly output: string }> {
  const { text, folder, env, answer, msMax } = typed;
  const terminal = spawn("script", ["-qefc", `bash -c ${quoted(text)}`, "/dev/null"], {
    cwd: folder,
    env,
    stdio: ["pipe", "pipe", "pipe"],
    timeout: msMax,
  });
  let output = "";
  for (const stream of [terminal.stdout, terminal.stderr]) {
    stream.setEncoding("utf8").on("data", (more: string) => (output += more));
  }
  // What was not asked for is not read: the terminal is gone before it takes the answer.
  terminal.stdin.on("error", () => undefined);
  // The input stays open. At its end `script` waits two seconds for somebody to read the answer.
  terminal.stdin.write(answer);
  const [status] = (await once(terminal, "close")) as [number | null];
  return { status, output };
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

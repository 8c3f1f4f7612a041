import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface CommandResult {
  readonly code: number;
  /** Standard output and error as they came, its end where it is long. */
  readonly output: string;
}

/** One bash in which a whole page is typed: what a block exports, the next one sees. */
export interface PageShell extends AsyncDisposable {
  run(command: string, timeoutMs: number): Promise<CommandResult>;
}

const OUTPUT_MAX = 65_536;

export function openPageShell(folder: string, env: NodeJS.ProcessEnv, own: string): PageShell {
  // A group of its own, so that what a page leaves in the background ends with it.
  const bash = spawn("bash", ["--noprofile", "--norc"], {
    cwd: folder,
    env,
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const exited = new Promise<void>((resolve) => bash.once("close", () => resolve()));
  let output = "";
  let wake: () => void = () => undefined;
  for (const stream of [bash.stdout, bash.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-OUTPUT_MAX);
      wake();
    });
  }
  bash.once("close", () => wake());
  const isGone = (): boolean => bash.exitCode !== null || bash.signalCode !== null;
  const kill = (): void => {
    if (bash.pid === undefined) return;
    try {
      process.kill(-bash.pid, "SIGKILL");
    } catch {
      // The whole group is gone already.
    }
  };
  const command = join(own, "command.sh");
  return {
    run: async (text, timeoutMs) => {
      const mark = `end-${randomBytes(12).toString("hex")}`;
      await writeFile(command, `${text}\n`);
      output = "";
      // Sourced, so that it does not read its next line from the shell's own input.
      bash.stdin.write(`source '${command}' < /dev/null; printf '\\n${mark} %d\\n' "$?"\n`);
      const end = new RegExp(`\\n${mark} (\\d+)\\n`);
      const timer = setTimeout(() => {
        output += `\n(no end after ${timeoutMs} ms)`;
        kill();
      }, timeoutMs);
      try {
        while (!end.test(output)) {
          if (isGone()) return { code: -1, output: `${output}\n(the shell is gone)` };
          await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        clearTimeout(timer);
      }
      return { code: Number(end.exec(output)?.[1]), output: output.replace(end, "") };
    },
    [Symbol.asyncDispose]: async () => {
      kill();
      await exited;
    },
  };
}

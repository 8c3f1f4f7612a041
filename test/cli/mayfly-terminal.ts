import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { stripVTControlCharacters } from "node:util";
import { testPrograms } from "../harness/index.ts";
import type { Given } from "./person-who-wants.ts";

const DOWN = "\u001b[B";
const UP = "\u001b[A";

/** The `mayfly` command in a terminal of its own, typed on by somebody who reads what it shows. */
export class MayflyTerminal implements AsyncDisposable {
  readonly #script: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<number | null>;
  readonly #watchers = new Set<() => void>();
  #output = "";
  /** What stands before it was read. */
  #read = 0;
  #hasClosed = false;

  constructor(
    words: readonly string[],
    environment: Readonly<Record<string, string>>,
    columns = 300,
  ) {
    const { migrator: command, keepCompiled } = testPrograms();
    const all = [process.execPath, "--require", keepCompiled, command, ...words].map(quoted);
    const line = `stty cols ${columns} rows 50 && exec ${all.join(" ")}`;
    this.#script = spawn("script", ["-qefc", `sh -c ${quoted(line)}`, "/dev/null"], {
      env: { PATH: process.env["PATH"] ?? "", TERM: "xterm", NO_COLOR: "1", ...environment },
      stdio: ["pipe", "pipe", "pipe"],
    });
    for (const stream of [this.#script.stdout, this.#script.stderr]) {
      stream.setEncoding("utf8").on("data", (more: string) => {
        this.#output += more;
        for (const look of this.#watchers) look();
      });
    }
    this.#script.stdin.on("error", () => undefined);
    this.#closed = once(this.#script, "close").then(([code]) => {
      this.#hasClosed = true;
      for (const look of this.#watchers) look();
      return code as number | null;
    });
  }

  /** The same with all that the command wrote to it. */
  get written(): string {
    return this.#output;
  }

  /** All that was shown, without what moves the cursor. */
  get shown(): string {
    return stripVTControlCharacters(this.#output);
  }

  /** Until this stands below all that was read before; throws where the command ends without it. */
  async reads(text: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const at = this.shown.indexOf(text, this.#read);
        if (at === -1 && !this.#hasClosed) return;
        this.#watchers.delete(look);
        if (at === -1) return reject(new Error(`"${text}" never stood on:\n${this.shown}`));
        this.#read = at + text.length;
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  type(keys: string): void {
    this.#script.stdin.write(keys);
  }

  /** Nothing more is typed: the terminal is at its end. */
  endInput(): void {
    this.#script.stdin.end();
  }

  /** Each answer once its question is asked. */
  async answer(given: readonly Given[]): Promise<void> {
    for (const one of given) {
      await this.reads(`? ${one.ask}`);
      for (const keys of keysOf(one)) this.type(keys);
      await this.reads(`✓ ${one.ask}`);
    }
  }

  ended(): Promise<number | null> {
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#script.kill("SIGKILL");
    await this.#closed;
  }
}

function keysOf(given: Given): readonly string[] {
  switch (given.kind) {
    case "text":
    case "secret":
      return [given.text, "\r"];
    case "choose": {
      const steps = given.to - given.from;
      return [...Array<string>(Math.abs(steps)).fill(steps > 0 ? DOWN : UP), "\r"];
    }
    case "several":
      return [...given.chosen.map((isChosen) => `${isChosen ? " " : ""}${DOWN}`), "\r"];
    case "confirm":
      return [given.yes ? "y" : "n", "\r"];
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

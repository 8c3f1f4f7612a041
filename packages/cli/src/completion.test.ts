import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { isInstalled } from "@mayfly/testkit/vitest";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** What `mayfly completion` prints. */
const printedFor = (shell: "bash" | "zsh"): string =>
  spawnSync(process.execPath, [MAIN, "completion", shell], { encoding: "utf8" }).stdout;
const bashScript = printedFor("bash");
const zshScript = printedFor("zsh");

/** Asks bash, without the package bash-completion, for completions of a line's last word. */
function askBash(line: string, call: string): readonly string[] {
  const words = line.split(" ");
  const script = `
    mayfly() { ${call}; }
    source <(printf %s "$SCRIPT")
    source <(printf %s "$SCRIPT")
    COMP_WORDS=(${words.map(quoted).join(" ")})
    COMP_CWORD=${words.length - 1} COMP_LINE=${quoted(line)} COMP_POINT=${line.length}
    complete -p mayfly >&2
    __mayfly_complete 2>/dev/null
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const ran = spawnSync("bash", ["--norc", "--noprofile", "-c", script], {
    env: { NODE: process.execPath, MAIN, SCRIPT: bashScript, PATH: process.env["PATH"] ?? "" },
    encoding: "utf8",
  });
  expect(ran.stderr).toBe("complete -F __mayfly_complete mayfly\n");
  return ran.stdout.split("\n").filter((word) => word !== "");
}
const offered = (line: string): readonly string[] => askBash(line, '"$NODE" "$MAIN" "$@"');

/** Asks zsh the same, with functions of ours in the place of those that only its editor has. */
function askZsh(line: string, call: string): void {
  const script = `
    mayfly() { ${call} }
    compdef() { : }; compadd() { : }; _describe() { : }; _arguments() { eval ": $*" }
    source <(printf %s "$SCRIPT")
    words=(${line.split(" ").map(quoted).join(" ")}) CURRENT=$#words
    _mayfly`;
  const ran = spawnSync("zsh", ["--no-rcs", "-c", script], {
    env: { SCRIPT: zshScript, PATH: process.env["PATH"] ?? "" },
    encoding: "utf8",
  });
  expect(ran.stderr).toBe("");
}

/** Which words were run when they were completed: each makes a file. */
function wordsRun(ask: (line: string, call: string) => void): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-completion-"));
  const mark = join(folder, "mark");
  const run = `:>${mark}`;
  const words = [`$(${run})`, `\`${run}\``, `a;${run};`, `--role=$(${run})=`, `'$(${run})`];
  try {
    return words
      .flatMap((word) => [`mayfly lease ${word}`, `mayfly ${word} `])
      .filter((line) => {
        ask(line, "echo :4");
        const isRun = existsSync(mark);
        rmSync(mark, { force: true });
        return isRun;
      });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the completion of bash", () => {
  test("offers commands, subcommands and options, and what was begun alone", () => {
    expect(offered("mayfly ")).toEqual(expect.arrayContaining(["apply", "lease", "doctor"]));
    expect(offered("mayfly le")).toEqual(["lease", "ledger"]);
    expect(offered("mayfly lease ")).toEqual(expect.arrayContaining(["list", "show", "end"]));
    expect(offered("mayfly apply --dr")).toEqual(["--dry-run"]);
    expect(offered("mayfly completion ")).toEqual(["zsh", "bash", "fish", "powershell"]);
  });

  test("offers the types of backends that there are", () => {
    expect(offered("mayfly backend add my")).toEqual(["mysql"]);
  });

  test("runs nothing of what is typed", () => {
    expect(wordsRun(askBash)).toEqual([]);
  });
});

test.skipIf(!(await isInstalled("zsh")))(
  "the completion of zsh runs nothing of what is typed",
  () => {
    expect(wordsRun(askZsh)).toEqual([]);
  },
);

test.each(["zsh", "fish"])("there is a script for %s, which names the command", (shell) => {
  const ran = spawnSync(process.execPath, [MAIN, "completion", shell], { encoding: "utf8" });
  expect(ran.status).toBe(0);
  expect(ran.stdout).toContain("mayfly complete --");
});

test("a shell that is not known is a usage error", () => {
  const ran = spawnSync(process.execPath, [MAIN, "completion", "tcsh"], { encoding: "utf8" });
  expect(ran.status).toBe(2);
  expect(ran.stderr).toContain("bash");
});

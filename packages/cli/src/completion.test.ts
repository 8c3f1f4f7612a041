import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

/** What bash would offer after `line`, in a shell without the package bash-completion. */
function offered(line: string): readonly string[] {
  const words = line.split(" ");
  const script = `
    mayfly() { "$NODE" "$MAIN" "$@"; }
    source <(mayfly completion bash)
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
    COMP_CWORD=${words.length - 1} COMP_LINE='${line}' COMP_POINT=${line.length}
    complete -p mayfly >&2
    __mayfly_complete 2>/dev/null
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const ran = spawnSync("bash", ["--norc", "--noprofile", "-c", script], {
    env: { NODE: process.execPath, MAIN, PATH: process.env["PATH"] ?? "" },
    encoding: "utf8",
  });
  expect(ran.stderr).toMatch(/^complete -F __mayfly_complete mayfly$/m);
  return ran.stdout.split("\n").filter((word) => word !== "");
}

describe("the completion of bash", () => {
  test("offers commands, subcommands and options, and what was begun alone", () => {
    expect(offered("mayfly ")).toEqual(expect.arrayContaining(["apply", "lease", "doctor"]));
    expect(offered("mayfly le")).toEqual(["lease", "ledger"]);
    expect(offered("mayfly lease ")).toEqual(expect.arrayContaining(["list", "show", "end"]));
    expect(offered("mayfly apply --dr")).toEqual(["--dry-run"]);
    expect(offered("mayfly completion ")).toEqual(["zsh", "bash", "fish", "powershell"]);
  });
});

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

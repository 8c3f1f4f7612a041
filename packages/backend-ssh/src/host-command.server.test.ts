import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireOrExplain } from "@mayfly/embedded";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { revokeRequest } from "./revocation-list.ts";

/** What `host/mayfly-ssh-host` keeps, by itself: no sshd runs, but its tools are needed. */
const sshd = await requireOrExplain("sshd");
const COMMAND = fileURLToPath(new URL("../host/mayfly-ssh-host", import.meta.url));
const [ONE, OTHER] = ["aaaaaaaa_web-hosts", "bbbbbbbb_web-hosts"];
const [MINE, THEIRS] = [`mf_aaaaaaaa_${"0".repeat(32)}`, `mf_bbbbbbbb_${"1".repeat(32)}`];

describe.runIf(sshd !== undefined)("the command of a host", () => {
  let state: string;
  const started: ChildProcess[] = [];
  beforeEach(() => {
    state = mkdtempSync(join(tmpdir(), "mayfly-ssh-host-"));
    mkdirSync(join(state, "sessions"));
    execFileSync("ssh-keygen", ["-k", "-f", join(state, "krl")]);
  });
  afterEach(() => {
    for (const child of started.splice(0)) child.kill("SIGKILL");
    rmSync(state, { recursive: true, force: true });
  });
  const begin = (): ChildProcess => {
    const child = spawn("/bin/sh", [COMMAND, "serve"], {
      env: { ...process.env, MAYFLY_SSH_STATE: state },
      stdio: ["pipe", "pipe", "ignore"],
    });
    started.push(child);
    return child;
  };
  async function ask(request: string): Promise<string> {
    const { stdin, stdout } = begin();
    let answer = "";
    stdin?.end(request);
    for await (const part of stdout ?? []) answer += String(part);
    return answer.trim();
  }
  const listed = (): string[] => {
    const shown = execFileSync("ssh-keygen", ["-Q", "-l", "-f", join(state, "krl")]).toString();
    return [...shown.matchAll(/^id: (\S+)$/gm)].map(([, id]) => id ?? "").toSorted();
  };

  test("keeps what each authority revoked, whichever has the higher number", async () => {
    expect(await ask(revokeRequest(ONE, 5, [MINE]))).toBe("revoked 5 sessions 0");
    expect(await ask(revokeRequest(OTHER, 9, [THEIRS]))).toBe("revoked 9 sessions 0");
    expect(listed()).toEqual([MINE, THEIRS]);
    expect(await ask(revokeRequest(ONE, 6, []))).toBe("revoked 6 sessions 0");
    expect(await ask(revokeRequest(OTHER, 8, []))).toBe("revoked 9 sessions 0");
    expect(listed()).toEqual([THEIRS]);
    expect(await ask(`mayfly-ssh-2 check ${ONE}\n`)).toBe("ready 6");
    expect(await ask("mayfly-ssh-2 check ../krl\n")).toBe("");
  });

  test("serves others while one that sends stops in the middle", async () => {
    const frozen = begin();
    frozen.stdin?.write(`mayfly-ssh-2 revoke ${ONE} 1 1\n`);
    while (!readdirSync(state).some((name) => name.startsWith("work."))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await ask(revokeRequest(OTHER, 1, [THEIRS]))).toBe("revoked 1 sessions 0");
    expect(frozen.exitCode).toBeNull();
  });
});

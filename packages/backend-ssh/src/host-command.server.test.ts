import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { requireOrExplain } from "@mayfly/embedded";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { generatedKey } from "./generated-key.ts";
import { revokeRequest } from "./revocation-list.ts";

/** What `host/mayfly-ssh-host` keeps, by itself: no sshd runs, but its tools are needed. */
const sshd = await requireOrExplain("sshd");
/** Comes with sshd. */
const KEYGEN = "ssh-keygen";
const COMMAND = fileURLToPath(new URL("../host/mayfly-ssh-host", import.meta.url));
const [ONE, OTHER] = ["aaaaaaaa_web-hosts", "bbbbbbbb_web-hosts"];
const [MINE, THEIRS] = [`mf_aaaaaaaa_${"0".repeat(32)}`, `mf_bbbbbbbb_${"1".repeat(32)}`];

describe.runIf(sshd !== undefined)("the command of a host", () => {
  let state: string;
  const started: ChildProcess[] = [];
  beforeEach(() => {
    state = mkdtempSync(join(tmpdir(), "mayfly-ssh-host-"));
    mkdirSync(join(state, "sessions"));
    execFileSync(KEYGEN, ["-k", "-f", join(state, "krl")]);
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
    const shown = execFileSync(KEYGEN, ["-Q", "-l", "-f", join(state, "krl")]).toString();
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

  test("looks at the sessions of one certificate, however many others are noted", async () => {
    const notes = [`${MINE}.1.0`, `${THEIRS}.1.0`];
    for (const name of notes) writeFileSync(join(state, "sessions", name), "");
    const answer = await ask(`mayfly-ssh-2 look ${ONE} ${MINE}\n${generatedKey().public}\n`);
    expect(answer).toBe("accepted sessions 0 number 0");
    expect(readdirSync(join(state, "sessions"))).toEqual([`${THEIRS}.1.0`]);
  });

  test("ends many sessions at once with all that they started, and no other's", async () => {
    const ids = Array.from({ length: 30 }, (_, n) => `mf_aaaaaaaa_${String(n).padStart(32, "0")}`);
    const child = "sh -c 'sleep 60 & wait' & wait";
    const start = (id: string): number => {
      const session = spawn("/bin/sh", ["-c", child], { detached: true, stdio: "ignore" });
      started.push(session);
      const pid = session.pid ?? 0;
      writeFileSync(join(state, "sessions", `${id}.${pid}.${begun(pid)}`), "");
      return pid;
    };
    const theirs = start(THEIRS);
    const mine = ids.map(start);
    try {
      await until(() => [theirs, ...mine].every((pid) => membersOf(pid).length === 3));
      expect(await ask(revokeRequest(ONE, 1, ids))).toBe("revoked 1 sessions 0");
      expect(mine.flatMap(membersOf)).toEqual([]);
      expect(membersOf(theirs)).toHaveLength(3);
      expect(readdirSync(join(state, "sessions"))).toEqual([
        `${THEIRS}.${theirs}.${begun(theirs)}`,
      ]);
    } finally {
      for (const pid of [theirs, ...mine]) if (membersOf(pid).length > 0) process.kill(-pid, 9);
    }
  });

  test("leaves nothing of a session that forks while it is cut", async () => {
    const forks = "while :; do sleep 60 & sleep 0.01; done";
    const session = spawn("/bin/sh", ["-c", forks], { detached: true, stdio: "ignore" });
    const pid = session.pid ?? 0;
    try {
      await until(() => membersOf(pid).length > 20);
      writeFileSync(join(state, "sessions", `${MINE}.${pid}.${begun(pid)}`), "");
      expect(await ask(revokeRequest(ONE, 1, [MINE]))).toBe("revoked 1 sessions 0");
      expect(membersOf(pid)).toEqual([]);
      expect(readdirSync(join(state, "sessions"))).toEqual([]);
    } finally {
      if (membersOf(pid).length > 0) process.kill(-pid, "SIGKILL");
    }
  });

  test("serves others while one that sends stops in the middle", async () => {
    const frozen = begin();
    frozen.stdin?.write(`mayfly-ssh-2 revoke ${ONE} 1 1\n`);
    await until(() => readdirSync(state).some((name) => name.startsWith("work.")));
    expect(await ask(revokeRequest(OTHER, 1, [THEIRS]))).toBe("revoked 1 sessions 0");
    expect(frozen.exitCode).toBeNull();
  });
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

/** When a process began, as notes of sessions have it. */
const begun = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ")[19] ?? "";

/** Of a process group, those that run: the rest waits to be collected (proc(5), stat). */
function membersOf(group: number): string[] {
  return readdirSync("/proc").filter((id) => {
    if (!/^\d+$/.test(id)) return false;
    let line: string;
    try {
      line = readFileSync(`/proc/${id}/stat`, "latin1");
    } catch {
      return false;
    }
    const [state, , itsGroup] = line.slice(line.lastIndexOf(") ") + 2).split(" ");
    return Number(itsGroup) === group && state !== "Z";
  });
}

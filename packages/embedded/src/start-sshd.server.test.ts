import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { requireOrExplain } from "./require-or-explain.ts";
import { startSshd } from "./start-sshd.ts";

const run = promisify(execFile);
const sshd = await requireOrExplain("sshd");

test.skipIf(sshd === undefined)(
  "a shell of the server's is at the second level, where bash reads nobody's .bashrc",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-ssh-level-"));
    const hostCommand = join(folder, "level");
    // Started in the shell's own place, so that it has the level that the shell was given.
    await writeFile(hostCommand, 'printf "level %s" "$SHLVL"\n');
    await using server = await startSshd(sshd ?? "", { hostCommand });
    const { directory, port, user } = server;
    const options = ["BatchMode=yes", `UserKnownHostsFile=${join(directory, "known_hosts")}`];
    const place = ["-F", "none", "-i", join(directory, "own_key"), "-p", String(port)];
    const { stdout } = await run("ssh", [
      ...place,
      ...options.flatMap((option) => ["-o", option]),
      `${user}@127.0.0.1`,
    ]);
    expect(stdout).toBe("level 1");
    await rm(folder, { recursive: true });
  },
);

test.skipIf(sshd === undefined)(
  "of several authorities that are to be trusted at once, the last is what the server trusts",
  async () => {
    await using server = await startSshd(sshd ?? "", { hostCommand: "/bin/true" });
    const authorities = Array.from({ length: 40 }, (_, index) => `# ${"x".repeat(index)}\n`);
    await Promise.all(authorities.map((authority) => server.trust(authority)));
    const kept = await readFile(join(server.directory, "ca.pub"), "utf8");
    expect(kept).toBe(authorities.at(-1));
  },
);

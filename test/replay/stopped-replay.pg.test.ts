import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const LONG_MS = 180_000;
const LOOK_MS = 50;

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)(
  "a replay that %s stops ends with %i, says what it did, and leaves no server behind",
  { timeout: LONG_MS },
  async (signal, code) => {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-stopped-"));
    // PostgreSQL runs as another user where this one is root.
    await chmod(folder, 0o755);
    const program = join(import.meta.dirname, "replay.ts");
    const replay = spawn(process.execPath, [program, "--histories", "1000000", "--json"], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const exited = once(replay, "exit");
    const written = replay.stdout.setEncoding("utf8").toArray();
    const said = replay.stderr.setEncoding("utf8").toArray();
    try {
      while ((await readdir(folder)).length === 0 && replay.exitCode === null) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
      replay.kill(signal);
      expect(await exited).toEqual([code, null]);
      // Whoever reads a line of JSON takes it for that of a whole run.
      expect(await written).toEqual([]);
      expect((await said).join("")).toMatch(
        new RegExp(`replay: stopped by ${signal} before its end[^]*\\d+ histories, \\d+ calls`),
      );
      expect(await readdir(folder)).toEqual([]);
    } finally {
      replay.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    }
  },
);

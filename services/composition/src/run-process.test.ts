import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";

const entry = new URL("run-process.ts", import.meta.url).href;

/** Runs `body` in a process of its own, where `runProcess` is in scope. */
async function runInProcess(
  body: string,
): Promise<{ readonly code: unknown; readonly err: string }> {
  const keepAlive = "setInterval(() => undefined, 1000);";
  const source = `import { runProcess } from ${JSON.stringify(entry)};\n${keepAlive}\n${body}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], {
    // There the workspace's packages resolve.
    cwd: new URL("..", import.meta.url),
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [err, exit] = await Promise.all([text(child.stderr), once(child, "exit")]);
  const code: unknown = exit[0];
  return { code, err };
}

describe("a process", () => {
  it("outlives a promise that was rejected with nobody waiting, logs it, and stops when told", async () => {
    const { code, err } = await runInProcess(`
      await runProcess(async () => {
        void Promise.reject(new Error("a driver's own"));
        setTimeout(() => process.kill(process.pid, "SIGTERM"), 100);
        return { close: async () => {} };
      });`);
    expect(code).toBe(0);
    expect(err).toContain("a rejected promise had nobody waiting for it");
  });
  it("ends with 78 and a plain sentence where the configuration is at fault", async () => {
    const { code, err } = await runInProcess(`
      const { BrokerError } = await import("@mayfly/spec");
      await runProcess(async () => {
        throw new BrokerError("config_invalid", "MAYFLY_ISSUER: it is required and not set");
      });`);
    expect(code).toBe(78);
    expect(err).toBe("config_invalid: MAYFLY_ISSUER: it is required and not set\n");
  });
  it("ends with 1 when a second signal comes while it is still stopping", async () => {
    const { code } = await runInProcess(`
      setTimeout(() => process.kill(process.pid, "SIGTERM"), 100);
      await runProcess(async () => ({
        close: () => {
          setTimeout(() => process.kill(process.pid, "SIGTERM"), 50);
          return new Promise(() => {});
        },
      }));`);
    expect(code).toBe(1);
  });
});

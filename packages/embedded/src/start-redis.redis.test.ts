import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { holdServer, isGoneWithin, killHard } from "./__fixtures__/held-server.ts";
import { requireOrExplain, startRedis, type EmbeddedRedis, type RedisOptions } from "./index.ts";
import { startMarkOf } from "./process-table.ts";

async function started(options: RedisOptions = {}): Promise<EmbeddedRedis> {
  const redis = await startRedis(options);
  if (redis.missing !== undefined) throw new TypeError(`${redis.missing} is missing`);
  return redis;
}

/** Sends inline commands and answers the reply to the last, as it came. */
async function say(port: number, commands: readonly string[]): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.setEncoding("utf8");
  let reply = "";
  socket.on("data", (text: string) => {
    reply += text;
  });
  socket.end([...commands, "QUIT", ""].join("\r\n"));
  await once(socket, "close");
  return reply;
}

const installed = (await requireOrExplain("redis")) !== undefined;

describe.runIf(installed)("a started Redis", () => {
  test("answers whoever knows the password, and nobody else", async () => {
    await using redis = await started();
    expect(redis.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await say(redis.port, ["PING"])).toContain("NOAUTH");
    expect(await say(redis.port, [`AUTH ${redis.password}`, "PING"])).toContain("+PONG");
    expect(new URL(redis.url).password).toBe(redis.password);
  });

  test("shows its password in no list of processes", async () => {
    await using redis = await started();
    const file = `/proc/${redis.pid}/cmdline`;
    const commandLine = await readFile(file, "utf8").catch(() => "redis-server");
    expect(commandLine).toContain("redis-server");
    expect(commandLine).not.toContain(redis.password);
  });

  test("ends at stop, and a temporary one takes its directory along", async () => {
    const redis = await started();
    await redis.stop();
    expect(await isGoneWithin(redis.pid, 0)).toBe(true);
    await expect(stat(redis.dir)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("with appendonly keeps over a kill what it was told before", async () => {
    const dir = await mkdtemp(join(tmpdir(), "mayfly-test-"));
    const first = await started({ dir, appendonly: true });
    await say(first.port, [`AUTH ${first.password}`, "SET kept 7"]);
    first.kill();
    await first.exited;
    const second = await started({ dir, appendonly: true });
    expect(await say(second.port, [`AUTH ${second.password}`, "GET kept"])).toContain("$1\r\n7");
    await second.stop();
    await rm(dir, { recursive: true });
  });

  test("ends by itself when its parent is killed, and a start finds the place free", async () => {
    const dir = await mkdtemp(join(tmpdir(), "mayfly-test-"));
    const holder = await holdServer("redis", dir);
    expect(await startMarkOf(holder.server.pid)).toBeDefined();
    await expect(startRedis({ dir })).rejects.toThrow(
      `process ${holder.server.pid} and belongs to process ${holder.process.pid}`,
    );
    await killHard(holder.process);
    const next = await started({ dir });
    expect(await isGoneWithin(holder.server.pid, 5_000)).toBe(true);
    await next.stop();
    await rm(dir, { recursive: true });
  });
});

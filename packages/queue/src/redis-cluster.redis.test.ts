import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { freePort, requireOrExplain } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { parseBackendId, Secret, type BackendId } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
import { createAlarmClock } from "./create-alarm-clock.ts";
import { createAlarmListener } from "./create-alarm-listener.ts";
import type { RedisQueueConfig } from "./queue-config.ts";

const program = await requireOrExplain("redis");
const ORDERS = parseBackendId("orders-db", "test");

const settled = /cluster_state:ok[\s\S]*cluster_known_nodes:2/;

/** Ends with this process: the shell kills the server when its standard input closes. */
function startNode(redisServer: string, dir: string, port: number): ChildProcess {
  const script = '"$0" "$@" >/dev/null & server=$!; cat >/dev/null; kill -9 $server';
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--cluster-enabled", "yes"];
  return spawn("sh", ["-c", script, redisServer, ...args, "--dir", dir, "--save", ""], {
    stdio: ["pipe", "ignore", "ignore"],
  });
}

describe.runIf(program !== undefined)("on a cluster of two nodes", () => {
  let scratch: string;
  const shells: ChildProcess[] = [];
  const ports: number[] = [];
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), "mayfly-cluster-"));
    for (const name of ["a", "b"]) {
      // The cluster's own port is 10,000 higher, and must be none that outgoing connections get.
      let port = await freePort();
      while (port > 22_000) port = await freePort();
      ports.push(port);
      const dir = await mkdtemp(join(scratch, name));
      shells.push(startNode(program ?? "", dir, port));
    }
    const [a, b] = ports.map((port) => new Redis(port, "127.0.0.1"));
    if (a === undefined || b === undefined) throw new TypeError("two nodes");
    for (const node of [a, b]) node.on("error", () => undefined);
    await a.cluster("ADDSLOTSRANGE", 0, 8_191);
    await b.cluster("ADDSLOTSRANGE", 8_192, 16_383);
    await a.cluster("MEET", "127.0.0.1", ports[1] ?? 0);
    for (const node of [a, b]) {
      await vi.waitUntil(async () => settled.test(String(await node.cluster("INFO"))), {
        timeout: 20_000,
      });
      node.disconnect();
    }
  });
  afterAll(async () => {
    for (const shell of shells) {
      shell.stdin?.end();
      await once(shell, "close");
    }
    await rm(scratch, { recursive: true, force: true });
  });

  test.each(["a", "b", "c", "d"])(
    "prefix %s: jobs go in at any node and come out",
    async (prefix) => {
      const config: RedisQueueConfig = {
        kind: "redis",
        urls: [Secret.of(`redis://127.0.0.1:${ports[0]}`)],
        cluster: true,
        prefix,
      };
      const log = createRecordingLog();
      const given = { clock: systemClock, log, random: systemRandom };
      const alarmClock = createAlarmClock({ config, ports: given });
      const listener = createAlarmListener({ config, ports: given });
      const rings: BackendId[] = [];
      await listener.listen(async (backendId) => {
        rings.push(backendId);
      });
      await alarmClock.wakeNow([ORDERS]);
      await expect.poll(() => rings, { timeout: 20_000 }).toEqual([ORDERS]);
      await Promise.all([alarmClock.close(), listener.close()]);
      expect(log.entries).toEqual([]);
    },
  );
});

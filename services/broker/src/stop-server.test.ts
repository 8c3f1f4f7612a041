import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { eventually } from "@mayfly/testkit/vitest";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { createAfterwork } from "./http/afterwork.ts";
import { stopServer, type StopPorts } from "./stop-server.ts";

/** A server whose answers are held until they are let go. */
async function heldServer() {
  const arrived = Promise.withResolvers<void>();
  const letGo = Promise.withResolvers<void>();
  const ended: string[] = [];
  let asked = 0;
  const log = createRecordingLog();
  const clock = createFakeClock();
  const afterwork = createAfterwork();
  const server = createServer((_request, response) => {
    asked += 1;
    arrived.resolve();
    const answered = letGo.promise.then(async () => {
      // What a cut reply does: its credential's end is requested.
      await pause(50);
      ended.push(response.destroyed ? "cut" : "answered");
      response.end("ok");
    });
    afterwork.track(answered).catch(() => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const ports = (stopSeconds: number, drainSeconds = 0): StopPorts => ({
    clock,
    log,
    afterwork,
    settings: { drainSeconds, stopSeconds },
  });
  return {
    server,
    port,
    clock,
    asked: () => asked,
    ports,
    arrived: arrived.promise,
    letGo: letGo.resolve,
    ended,
    log,
  };
}

const send = (port: number): Promise<string> =>
  new Promise((resolve) => {
    const sent = request({ port, host: "127.0.0.1", agent: false }, (response) => {
      response.resume().on("end", () => resolve(`answered ${response.statusCode ?? 0}`));
    });
    sent.on("error", () => resolve("lost"));
    sent.end();
  });

describe("a stop", () => {
  it("lets requests under way end, and takes new ones until the drain is over", async () => {
    const held = await heldServer();
    const first = send(held.port);
    await held.arrived;
    const stopping = stopServer(held.server, held.ports(30, 0.3));
    const second = send(held.port);
    await eventually(() => expect(held.asked()).toBe(2));
    await held.clock.advance(300);
    expect(await send(held.port)).toBe("lost");
    held.letGo();
    expect(await Promise.all([first, second])).toEqual(["answered 200", "answered 200"]);
    expect(await stopping).toBe("stopped");
    expect(held.log.messages("warn")).toEqual([]);
  });
  it("cuts what takes longer, and waits for what follows from that", async () => {
    const held = await heldServer();
    const sent = send(held.port);
    await held.arrived;
    const stopping = stopServer(held.server, held.ports(20));
    await held.clock.advance(20_000);
    expect(await sent).toBe("lost");
    held.letGo();
    expect(await stopping).toBe("forced");
    expect(held.ended).toEqual(["cut"]);
    expect(held.log.messages("warn")).toEqual([
      "requests under way are cut: they took longer than a stop may",
    ]);
  });
});

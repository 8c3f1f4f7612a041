import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { requireOrExplain, startRabbitmq } from "./index.ts";

const installed = (await requireOrExplain("rabbitmq")) !== undefined;

async function listens(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

describe.runIf(installed)("a started RabbitMQ", () => {
  test("listens while it runs, and nothing of it does once it was stopped", async () => {
    const rabbit = await startRabbitmq();
    if (rabbit.missing !== undefined) throw new TypeError(`${rabbit.missing} is missing`);
    const ports = [rabbit.amqpPort, rabbit.apiPort];
    expect(await Promise.all(ports.map(listens))).toEqual([true, true]);
    await rabbit.stop();
    expect(await Promise.all(ports.map(listens))).toEqual([false, false]);
  });
});

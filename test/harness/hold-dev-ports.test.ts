import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { holdDevPorts } from "./hold-dev-ports.ts";

const nameOf = (): string => `\0mayfly-tests-${randomBytes(8).toString("hex")}`;

test("who wants the ports of npm run dev waits until the one who has them is done", async () => {
  const own = { name: nameOf(), ports: [] };
  const order: string[] = [];
  const first = await holdDevPorts(own);
  const second = holdDevPorts(own).then((held) => {
    order.push("second");
    return held;
  });
  // Somebody who does not wait is told that it was in vain, and takes nothing.
  await expect(holdDevPorts({ ...own, withinMs: 0 })).rejects.toThrow(/in vain for another npm/);
  order.push("first is done");
  await first[Symbol.asyncDispose]();
  await (await second)[Symbol.asyncDispose]();
  expect(order).toEqual(["first is done", "second"]);
  await (await holdDevPorts(own))[Symbol.asyncDispose]();
});

test("nor does anybody get them while somebody listens there who asked nobody", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const own = { name: nameOf(), ports: [port] };
  await expect(holdDevPorts({ ...own, withinMs: 0 })).rejects.toThrow(/in vain for another npm/);
  const waiting = holdDevPorts(own);
  server.close();
  await (await waiting)[Symbol.asyncDispose]();
});

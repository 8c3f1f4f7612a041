import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "./vitest/eventually.ts";
import { startTcpFaultProxy, type TcpFaultProxy } from "./tcp-fault-proxy.ts";

let proxy: TcpFaultProxy;
let served: Socket[];
let close: () => void;

/** A server that echoes, behind the proxy. */
beforeEach(async () => {
  served = [];
  const server = createServer((socket) => {
    served.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => socket.write(bytes));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  close = () => server.close();
  const { port } = server.address() as AddressInfo;
  proxy = await startTcpFaultProxy({ host: "127.0.0.1", port });
});
afterEach(async () => {
  await proxy.stop();
  close();
});

async function client() {
  const socket = connect({ host: "127.0.0.1", port: proxy.port });
  const seen = { text: "", error: "", closed: false };
  socket.on("data", (bytes) => (seen.text += bytes.toString()));
  socket.on("error", (error: NodeJS.ErrnoException) => (seen.error = error.code ?? ""));
  socket.on("close", () => (seen.closed = true));
  await once(socket, "connect");
  await eventually(() => expect(served.length).toBeGreaterThan(0));
  return { socket, seen };
}

test("passes on what comes, in both directions", async () => {
  const { socket, seen } = await client();
  socket.write("hello");
  await eventually(() => expect(seen.text).toBe("hello"));
});

test("as a server that hangs, it takes what is sent and answers nothing, until it is reset", async () => {
  const before = await client();
  proxy.hang();
  before.socket.write("lost");
  const { socket, seen } = await client();
  socket.write("lost too");
  served[0]?.write("a greeting");
  await pause(50);
  expect([before.seen.text, seen.text]).toEqual(["", ""]);
  expect([before.seen.closed, seen.closed]).toEqual([false, false]);
  proxy.reset();
  await eventually(() => expect([before.seen.closed, seen.closed]).toEqual([true, true]));
  const after = await client();
  after.socket.write("hello");
  await eventually(() => expect(after.seen.text).toBe("hello"));
});

test("slowed down, it passes on all of it, in its order, and is fast again afterwards", async () => {
  const { socket, seen } = await client();
  proxy.slow(30);
  for (const piece of ["one ", "two ", "three "]) {
    socket.write(piece);
    await pause(5);
  }
  proxy.slow(0);
  socket.write("four");
  expect(seen.text).toBe("");
  await eventually(() => expect(seen.text).toBe("one two three four"));
});

test("a stranded connection passes nothing and tells neither end, while new ones work", async () => {
  const old = await client();
  proxy.strand();
  old.socket.write("lost");
  const fresh = await client();
  fresh.socket.write("found");
  await eventually(() => expect(fresh.seen.text).toBe("found"));
  expect(old.seen).toEqual({ text: "", error: "", closed: false });
  // Its end does not reach the server either.
  old.socket.destroy();
  await pause(50);
  expect(served[0]?.destroyed).toBe(false);
  proxy.cut();
  await eventually(() => expect(served[0]?.destroyed).toBe(true));
});

test("cut ends both ends, and reset with an error", async () => {
  const one = await client();
  proxy.cut();
  await eventually(() => expect(one.seen).toMatchObject({ closed: true, error: "" }));
  await eventually(() => expect(served[0]?.destroyed).toBe(true));
  const other = await client();
  proxy.reset();
  await eventually(() => expect(other.seen).toMatchObject({ closed: true, error: "ECONNRESET" }));
});

test("refusing, it resets what there is and takes nobody, and is back at the same port", async () => {
  const { seen } = await client();
  await proxy.refuse();
  await eventually(() => expect(seen).toMatchObject({ error: "ECONNRESET", closed: true }));
  await expect(client()).rejects.toMatchObject({ code: "ECONNREFUSED" });
  await proxy.listen();
  const { socket, seen: after } = await client();
  socket.write("back");
  await eventually(() => expect(after.text).toBe("back"));
});

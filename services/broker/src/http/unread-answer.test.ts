import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { createFakeClock } from "@mayfly/testkit";
import { expect, it } from "vitest";
import { eventually } from "@mayfly/testkit/vitest";
import { createTestEdge, TEST_UNREAD_MS_MAX } from "../testing/test-edge.ts";
import type { EdgeOptions } from "./edge-server.ts";

/** More than what the system holds for a reader who takes nothing. */
const ANSWER = "x".repeat(48 * 1024 * 1024);

async function serve(fetch: EdgeOptions["fetch"]) {
  const clock = createFakeClock();
  const { server } = createTestEdge(fetch, clock);
  const held = new Promise((resolve) => server.once("connection", resolve));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined).pause();
  return { clock, server, socket, held };
}

it("of pipelined answers each has its time from when it is its turn", async () => {
  let answerFirst = (): void => undefined;
  const { clock, server, socket, held } = await serve(async (request) => {
    if (request.url.endsWith("/first")) {
      await new Promise<void>((resolve) => (answerFirst = resolve));
    }
    return new Response(ANSWER);
  });
  let asked = 0;
  server.on("request", () => asked++);
  socket.write("GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await held;
  await eventually(() => expect(asked).toBe(2));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(clock.sleepers).toBe(0);
  answerFirst();
  await eventually(() => expect(clock.sleepers).toBe(1));
  socket.destroy();
  server.close();
});

it("a reader that never takes its answer is cut off", async () => {
  const { clock, server, socket, held } = await serve(() => new Response(ANSWER));
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await held;
  await eventually(() => expect(clock.sleepers).toBe(1));
  const connections = (): Promise<number> =>
    new Promise((resolve, reject) => {
      server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
    });
  expect(await connections()).toBe(1);
  await clock.advance(TEST_UNREAD_MS_MAX);
  await eventually(async () => expect(await connections()).toBe(0));
  socket.destroy();
  server.close();
});

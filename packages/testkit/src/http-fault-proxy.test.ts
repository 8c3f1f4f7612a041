import { createServer } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startHttpFaultProxy, type HttpFaultProxy } from "./http-fault-proxy.ts";

let effects = 0;
const server = createServer((request, answer) => {
  if (request.method !== "GET") effects++;
  request.resume().on("end", () => answer.end(`${request.method} ${request.url}`));
});
let proxy: HttpFaultProxy;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  proxy = await startHttpFaultProxy({ host: "127.0.0.1", port: address.port });
});
afterAll(async () => {
  await proxy.stop();
  server.close();
});

const put = (): Promise<Response> =>
  fetch(`http://127.0.0.1:${proxy.port}/made`, { method: "PUT", body: "it" });

test("without a fault it passes on what is asked and answered", async () => {
  expect(await (await put()).text()).toBe("PUT /made");
  expect(proxy.met()).toBe(0);
});

test("an answer of its own comes without the effect, with its headers", async () => {
  const before = effects;
  proxy.inject({ kind: "answer", status: 429, headers: { "retry-after": "3" } });
  const answer = await put();
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "3"]);
  expect([effects, proxy.met()]).toEqual([before, 1]);
  const read = await fetch(`http://127.0.0.1:${proxy.port}/made`);
  expect(await read.text()).toBe("GET /made");
  proxy.heal();
});

test("a replaced answer comes after the effect", async () => {
  const before = effects;
  proxy.inject({ kind: "replace", status: 500 });
  expect((await put()).status).toBe(500);
  expect(effects).toBe(before + 1);
  proxy.heal();
});

test("an answer that breaks off is none, and its effect was there", async () => {
  const before = effects;
  proxy.inject({ kind: "reset_mid_answer" });
  await expect(put().then((answer) => answer.text())).rejects.toThrow(/terminated|failed/);
  expect(effects).toBe(before + 1);
  proxy.heal();
});

test("a swallowed answer never comes, and its effect was there", async () => {
  const before = effects;
  proxy.inject({ kind: "swallow" });
  const caller = new AbortController();
  const asking = fetch(`http://127.0.0.1:${proxy.port}/`, { method: "PUT", signal: caller.signal });
  await expect.poll(() => effects).toBe(before + 1);
  caller.abort();
  await expect(asking).rejects.toThrow(/abort/);
  proxy.heal();
});

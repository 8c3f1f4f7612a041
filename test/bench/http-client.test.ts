import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { openHttpClient, parseAnswer } from "./http-client.ts";

async function serve(server: Server): Promise<AsyncDisposable & { readonly url: string }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

it("each request has its own answer, over as many connections as there may be", async () => {
  const ports = new Set<number>();
  await using served = await serve(
    createServer((request, response) => {
      ports.add(request.socket.remotePort ?? 0);
      request.setEncoding("utf8").on("data", (body: string) => {
        // One part of the answers has a length, the other chunks.
        if (body.endsWith("0")) response.write("chunked ");
        response.end(`${request.url ?? ""} ${body}`);
      });
    }),
  );
  const client = openHttpClient(served.url, 4);
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, n) => client.request("POST", `/${n}`, "x-y: 1\r\n", `b${n}`)),
  );
  expect(answers.map(({ text }) => text.replace("chunked ", ""))).toEqual(
    Array.from({ length: 50 }, (_, n) => `/${n} b${n}`),
  );
  expect(ports.size).toBe(4);
  client.close();
});

it("a connection that the server closes is replaced, one that is lost rejects", async () => {
  await using served = await serve(
    createServer((request, response) => {
      if (request.url === "/lost") request.socket.destroy();
      else response.writeHead(503, { connection: "close", "retry-after": "1" }).end("later");
    }),
  );
  const client = openHttpClient(served.url, 1);
  const get = (path: string) => client.request("GET", path, "", "");
  const [first, lost, last] = await Promise.allSettled([get("/"), get("/lost"), get("/")]);
  expect(first).toMatchObject({ value: { status: 503, text: "later" } });
  expect(lost).toMatchObject({ status: "rejected" });
  expect(last).toMatchObject({ value: { status: 503 } });
  client.close();
});

it("an answer is none until its last byte is there", () => {
  const whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  for (let length = 0; length < whole.length; length++) {
    expect(parseAnswer(whole.slice(0, length))).toBeNull();
  }
  expect(parseAnswer(whole)).toMatchObject({ status: 200, text: "ok" });
});

import { describe, expect, it } from "vitest";
import { bodyOf, serveBench, statusOf } from "../testing/served-bench.ts";

/** What never becomes a request of the application, and how it is answered. */
const EARLY = [
  ["no HTTP at all", "hello\r\n\r\n", 400, "invalid_request"],
  ["a TLS hello", "\u0016\u0003\u0001\u0002\u0000\u0001", 400, "invalid_request"],
  ["a method of nobody's", "FROB / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid_request"],
  ["another version of HTTP", "GET / HTTP/3.0\r\nHost: x\r\n\r\n", 400, "invalid_request"],
  ["a header without a colon", "GET / HTTP/1.1\r\nHost x\r\n\r\n", 400, "invalid_request"],
  [
    "two lengths",
    "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    400,
    "invalid_request",
  ],
  ["no Host", "GET /healthz HTTP/1.1\r\n\r\n", 400, "invalid_request"],
  ["a malformed Host", "GET /healthz HTTP/1.1\r\nHost: a b/c\r\n\r\n", 400, "invalid_request"],
  [
    "a head of 40 KiB",
    `GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(40 * 1024)}\r\n\r\n`,
    431,
    "headers_too_large",
  ],
  ["a path of 40 KiB", `GET /${"x".repeat(40 * 1024)} HTTP/1.1\r\n`, 431, "headers_too_large"],
  ["CONNECT", "CONNECT db:5432 HTTP/1.1\r\nHost: db\r\n\r\n", 405, "method_not_allowed"],
  [
    "an expectation of magic",
    "GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n",
    400,
    "invalid_request",
  ],
] as const;

describe("what never becomes a request", () => {
  it.each(EARLY)("%s is a problem with a trace", async (_what, sent, status, code) => {
    await using served = await serveBench();
    const answer = await served.send(Buffer.from(sent, "latin1"));
    expect(statusOf(answer)).toBe(status);
    const body = bodyOf(answer);
    expect(body).toMatchObject({ code, status, type: `https://mayfly.test/errors/${code}` });
    const trace = /^Mayfly-Trace: ([0-9a-f]{32})\r$/im.exec(answer)?.[1];
    expect(body).toMatchObject({ trace });
    expect(answer).toMatch(/^Content-Type: application\/problem\+json\r$/im);
    expect(answer).toMatch(/^Cache-Control: no-store\r$/im);
  });
  it("a head that does not arrive in time is a problem with 408", async () => {
    await using served = await serveBench({ requestMsMax: 1000 });
    const answer = await served.send("GET /healthz HTTP/1.1\r\nHost: x\r\n");
    expect([statusOf(answer), bodyOf(answer)]).toMatchObject([408, { code: "request_timeout" }]);
  });
  it("a body that does not arrive in time is a problem with 408", async () => {
    await using served = await serveBench({ requestMsMax: 1000 });
    const head = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{";
    const answer = await served.send(head);
    expect([statusOf(answer), bodyOf(answer)]).toMatchObject([408, { code: "request_timeout" }]);
  });
  it("junk behind a request leaves the answer to that whole", async () => {
    await using served = await serveBench();
    const answer = await served.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\njunk\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 (200|400) /);
    expect(() => bodyOf(answer)).not.toThrow();
  });
});

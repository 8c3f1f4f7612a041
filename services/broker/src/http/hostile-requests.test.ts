import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rawRequest, serveBench, type ServedBench } from "../testing/served-bench.ts";
import { nothingMinted, tokenForm } from "../testing/token-form.ts";

/*
 * Bytes that a proxy and this server could read as different requests (RFC 9112 section 11.2), and
 * heads that no client of the standards sends.
 */
let served: ServedBench;
beforeAll(async () => {
  served = await serveBench({ requestMsMax: 60_000 });
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

/** The status of each answer to these bytes, after which nothing more comes. */
async function statusesOf(bytes: string): Promise<readonly number[]> {
  const connection = await served.connect();
  // However it ends: what was answered before a reset counts too.
  const closed = new Promise((resolve) => connection.socket.once("close", resolve));
  connection.socket.end(Buffer.from(bytes, "latin1"));
  await closed;
  return [...connection.received().matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => Number(code));
}

const HOST = "Host: mayfly.test\r\n";
const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
const HIDDEN = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`;
const post = (headers: string, body: string): string =>
  `POST /token HTTP/1.1\r\n${HOST}${FORM}${headers}\r\n${body}`;

describe("a request whose end two readers see at two places", () => {
  const chunkedThenHidden = `0\r\n\r\n${HIDDEN}`;
  const length = String(chunkedThenHidden.length);
  it.each([
    [
      "both lengths",
      post(`Content-Length: ${length}\r\nTransfer-Encoding: chunked\r\n`, chunkedThenHidden),
    ],
    [
      "chunked before a length",
      post(`Transfer-Encoding: chunked\r\nContent-Length: 4\r\n`, chunkedThenHidden),
    ],
    ["two lengths", post(`Content-Length: 0\r\nContent-Length: ${length}\r\n`, HIDDEN)],
    ["a list of lengths", post(`Content-Length: 0, ${length}\r\n`, HIDDEN)],
    ["a length with a sign", post(`Content-Length: +0\r\n`, HIDDEN)],
    ["a length in hexadecimal", post(`Content-Length: 0x0\r\n`, HIDDEN)],
    ["a space before the colon", post(`Content-Length : 0\r\n`, HIDDEN)],
    ["chunked, and not last", post(`Transfer-Encoding: chunked, identity\r\n`, chunkedThenHidden)],
    ["no coding that there is", post(`Transfer-Encoding: xchunked\r\n`, chunkedThenHidden)],
    [
      "a coding behind a vertical tab",
      post(`Transfer-Encoding:\x0bchunked\r\n`, chunkedThenHidden),
    ],
    [
      "a folded header",
      post(`X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\nA\r\n b: c\r\n`, HIDDEN),
    ],
    [
      "a chunk longer than any number",
      post(`Transfer-Encoding: chunked\r\n`, `FFFFFFFFFFFFFFFF1\r\n${HIDDEN}`),
    ],
    ["a chunk in another notation", post(`Transfer-Encoding: chunked\r\n`, `0x0\r\n\r\n${HIDDEN}`)],
    [
      "a chunk without its line end",
      post(`Transfer-Encoding: chunked\r\n`, `1\r\nab0\r\n\r\n${HIDDEN}`),
    ],
    [
      "lines that end in a line feed alone",
      `POST /token HTTP/1.1\n${HOST}Transfer-Encoding: chunked\n\n${chunkedThenHidden}`,
    ],
    [
      "a carriage return within a line",
      post(`X: y\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n`, HIDDEN),
    ],
    ["a byte of zero in a header", post(`X: y\0\r\nContent-Length: 0\r\n`, HIDDEN)],
    [
      "chunks of HTTP/1.0",
      `POST /token HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunkedThenHidden}`,
    ],
  ])("is refused, and what is hidden in it is nobody's request: %s", async (_what, bytes) => {
    expect(await statusesOf(bytes)).toEqual([400]);
    expect(nothingMinted(served.bench)).toBe(true);
  });
});

describe("a head that no client sends", () => {
  it.each([
    ["TRACE", `TRACE /token HTTP/1.1\r\n${HOST}\r\n`, 405],
    ["a method of WebDAV", `PROPFIND /token HTTP/1.1\r\n${HOST}\r\n`, 405],
    ["a patch", `PATCH /v1/tasks HTTP/1.1\r\n${HOST}\r\n`, 405],
    ["HEAD of what is posted to", `HEAD /token HTTP/1.1\r\n${HOST}\r\n`, 405],
    ["a method in small letters", `post /token HTTP/1.1\r\n${HOST}\r\n`, 400],
    ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["another version", `GET /healthz HTTP/3.0\r\n${HOST}\r\n`, 400],
    ["the server as a whole", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 400],
    ["no host", "GET /healthz HTTP/1.1\r\n\r\n", 400],
    ["two hosts", `GET /healthz HTTP/1.1\r\n${HOST}Host: other.test\r\n\r\n`, 400],
    ["a host with a user", "GET /healthz HTTP/1.1\r\nHost: a@mayfly.test\r\n\r\n", 400],
    ["a host with a path", "GET /healthz HTTP/1.1\r\nHost: mayfly.test/x\r\n\r\n", 400],
    ["a path with a backslash", `GET /\\healthz HTTP/1.1\r\n${HOST}\r\n`, 400],
    ["a target that is no path", `GET healthz HTTP/1.1\r\n${HOST}\r\n`, 400],
    ["a fragment", `GET /healthz#/v1/tasks HTTP/1.1\r\n${HOST}\r\n`, 400],
  ])("is answered once: %s", async (_what, bytes, status) => {
    expect(await statusesOf(bytes)).toEqual([status]);
  });
  it("is answered by the name that is configured, whatever absolute address it names", async () => {
    const asked = await served.send(
      "GET https://evil.test/.well-known/oauth-authorization-server HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    );
    expect(asked).toContain(`"issuer":"${served.bench.issuer}"`);
    expect(asked).not.toContain("evil.test");
  });
});

describe("a body that is said to be encoded", () => {
  it.each(["gzip", "br", "x-unknown", "identity, gzip"])(
    "is not read as if it were not: Content-Encoding: %s",
    async (coding) => {
      const form = tokenForm(served.bench.identities.svid("bot"));
      const type = ["Content-Type", "application/x-www-form-urlencoded"] as const;
      for (const path of ["/token", "/revoke", "/introspect"]) {
        const headers = [type, ["Content-Encoding", coding]] as const;
        const answer = await served.send(rawRequest("POST", path, headers, form));
        expect(answer).toMatch(/^HTTP\/1\.1 400 /);
        expect(answer).toContain('"where":"Content-Encoding"');
      }
      expect(nothingMinted(served.bench)).toBe(true);
    },
  );
  it("is read where that is no encoding", async () => {
    const form = "token=one-that-never-was";
    const type = ["Content-Type", "application/x-www-form-urlencoded"] as const;
    const headers = [type, ["Content-Encoding", "identity"]] as const;
    const answer = await served.send(rawRequest("POST", "/revoke", headers, form));
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("a client that authenticates by the Authorization header at the token endpoint", () => {
  it.each([
    ["Basic", `Basic ${Buffer.from("bot:wrong").toString("base64")}`],
    ["Bearer", "Bearer something"],
    ["an unknown scheme", "Digest x"],
    ["nothing", ""],
  ])("is told that this does not count, and gets nothing: %s", async (_what, value) => {
    const form = tokenForm(served.bench.identities.svid("bot"));
    const type = ["Content-Type", "application/x-www-form-urlencoded"] as const;
    for (const path of ["/token", "/v1/explain"]) {
      const answer = await served.send(
        rawRequest("POST", path, [type, ["Authorization", value]], form),
      );
      expect(answer).toMatch(/^HTTP\/1\.1 401 /);
      expect(answer).toMatch(/^www-authenticate: Bearer /im);
      expect(answer).toContain('"invalid_client"');
    }
    expect(nothingMinted(served.bench)).toBe(true);
  });
});

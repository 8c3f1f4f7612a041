import { readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { inspect } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import type { CallContext, OutboundOptions } from "@mayfly/spec";
import { OutboundError } from "./outbound-error.ts";
import { createOutboundHttp, type ClosableOutboundHttp } from "./outbound-http.ts";
import type { ResolveName } from "./policed-agent.ts";

const LIMITS: OutboundOptions = { timeoutMs: 5000, maxBytes: 1024, unsafeAllowPrivate: true };
const STRICT: OutboundOptions = { ...LIMITS, unsafeAllowPrivate: false };
const cert = readFileSync(new URL("__fixtures__/localhost.cert.pem", import.meta.url), "utf8");
const key = readFileSync(new URL("__fixtures__/localhost.key.pem", import.meta.url), "utf8");

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function listen(server: Server & { closeAllConnections(): void }): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  );
  return (server.address() as AddressInfo).port;
}

const serve = (listener: RequestListener): Promise<number> => listen(createServer(listener));
const serveTls = (listener: RequestListener): Promise<number> =>
  listen(createTlsServer({ cert, key }, listener));

function outbound(options: Parameters<typeof createOutboundHttp>[0] = {}): ClosableOutboundHttp {
  const http = createOutboundHttp(options);
  closers.push(() => http.close());
  return http;
}

function contextWith(signal: AbortSignal = new AbortController().signal): CallContext {
  return { clock: createFakeClock(), signal, traceId: "trace" };
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OutboundError))
    throw new Error(`expected an OutboundError`, { cause: error });
  return error.reason;
}

const local: ResolveName = async () => [{ address: "127.0.0.1", family: 4 }];
const json: RequestListener = (_request, response) => response.end('{"keys":[]}');

describe("outbound HTTP", () => {
  test("answers with status, JSON, its text and max-age, whatever the content type", async () => {
    const text = '{"a": [1, 9007199254740993]}';
    const port = await serve((_request, response) => {
      response.setHeader("content-type", "application/octet-stream");
      response.setHeader("cache-control", "public, max-age=120");
      response.end(text);
    });
    const answer = await outbound().getJson(`http://127.0.0.1:${port}/x`, LIMITS, contextWith());
    const body: unknown = JSON.parse(text);
    expect(answer).toEqual({ status: 200, body, text, maxAgeSeconds: 120 });
  });

  test("refuses JSON that is nested 65 deep, and reads what is 64", async () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    const port = await serve((request, response) => {
      response.end(nested(Number(request.url?.slice(1))));
    });
    const http = outbound();
    const url = `http://127.0.0.1:${port}`;
    const { text } = await http.getJson(`${url}/64`, LIMITS, contextWith());
    expect(text).toBe(nested(64));
    expect(await reasonOf(http.getJson(`${url}/65`, LIMITS, contextWith()))).toBe("json");
  });

  test("gives an answer other than 2xx without its body", async () => {
    const port = await serve((_request, response) => response.writeHead(503).end("<html>"));
    const answer = await outbound().getJson(`http://127.0.0.1:${port}/`, LIMITS, contextWith());
    expect(answer).toEqual({ status: 503, body: null, text: "", maxAgeSeconds: null });
  });

  test("sends path and query as given, and nothing that names a user", async () => {
    let seen = "";
    const port = await serve((request, response) => {
      seen = `${request.method} ${request.url} ${request.headers.authorization ?? "-"}`;
      json(request, response);
    });
    await outbound().getJson(`http://127.0.0.1:${port}/a/b?c=d`, LIMITS, contextWith());
    expect(seen).toBe("GET /a/b?c=d -");
  });

  test("never follows a redirect", async () => {
    let requests = 0;
    const port = await serve((_request, response) => {
      requests++;
      response.writeHead(302, { location: "/elsewhere" }).end();
    });
    const work = outbound().getJson(`http://127.0.0.1:${port}/`, LIMITS, contextWith());
    expect(await reasonOf(work)).toBe("redirect");
    expect(requests).toBe(1);
  });

  test("refuses an announced size before reading it", async () => {
    const port = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "1025" });
      response.write(" ");
    });
    const work = outbound().getJson(`http://127.0.0.1:${port}/`, LIMITS, contextWith());
    expect(await reasonOf(work)).toBe("too_large");
  });

  test("stops reading an endless answer at the cap", async () => {
    let closed = (): void => undefined;
    const cut = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const port = await serve((_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(" ".repeat(512)));
      };
      response.on("drain", more).on("close", closed);
      more();
    });
    const work = outbound().getJson(`http://127.0.0.1:${port}/`, LIMITS, contextWith());
    expect(await reasonOf(work)).toBe("too_large");
    await cut;
  });

  test("has one deadline, over headers and body together", async () => {
    const port = await serve((_request, response) => {
      response.writeHead(200);
      response.write('{"slowly":');
    });
    const context = contextWith();
    const clock = createFakeClock();
    const work = reasonOf(
      outbound().getJson(`http://127.0.0.1:${port}/`, LIMITS, { ...context, clock }),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    await clock.advance(4999);
    expect(clock.sleepers).toBe(1);
    await clock.advance(1);
    expect(await work).toBe("deadline");
  });

  test("leaves no timer behind when it is done", async () => {
    const port = await serve(json);
    const clock = createFakeClock();
    await outbound().getJson(`http://127.0.0.1:${port}/`, LIMITS, { ...contextWith(), clock });
    expect(clock.sleepers).toBe(0);
  });

  test("ends when the caller cancels, before or meanwhile", async () => {
    const stop = new AbortController();
    const port = await serve(() => stop.abort());
    const url = `http://127.0.0.1:${port}/`;
    expect(await reasonOf(outbound().getJson(url, LIMITS, contextWith(stop.signal)))).toBe(
      "aborted",
    );
    expect(await reasonOf(outbound().getJson(url, LIMITS, contextWith(stop.signal)))).toBe(
      "aborted",
    );
  });

  test.each(["gzip", "br"])(
    "refuses an answer in %s, which it did not ask for",
    async (encoding) => {
      const port = await serve((_request, response) => {
        response.writeHead(200, { "content-encoding": encoding }).end("{}");
      });
      const work = outbound().getJson(`http://127.0.0.1:${port}/`, LIMITS, contextWith());
      expect(await reasonOf(work)).toBe("encoding");
    },
  );

  test("does not quote what it could not read, nor the query", async () => {
    const port = await serve((_request, response) => response.end("canary-in-body"));
    const work = outbound().getJson(
      `http://127.0.0.1:${port}/p?q=canary-in-query`,
      LIMITS,
      contextWith(),
    );
    const error: unknown = await work.catch((thrown: unknown) => thrown);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("canary");
  });

  test.each([
    ["not a URL", "no url"],
    ["http without the unsafe option", "http://idp.test/"],
    ["another scheme", "file:///etc/passwd"],
    ["a user in the URL", "https://user:password@idp.test/"],
  ])("refuses %s before any connection", async (_name, url) => {
    expect(
      await reasonOf(outbound({ resolveName: local }).getJson(url, STRICT, contextWith())),
    ).toBe("url");
  });

  test("refuses limits beyond its own", async () => {
    const http = outbound();
    const url = "https://idp.test/";
    for (const limits of [
      { ...STRICT, timeoutMs: 30_001 },
      { ...STRICT, maxBytes: 2 ** 30 },
    ]) {
      expect(await reasonOf(http.getJson(url, limits, contextWith()))).toBe("url");
    }
  });
});

describe("outbound HTTP's address policy", () => {
  test.each([
    "127.0.0.1",
    "[::1]",
    "2130706433",
    "0x7f.1",
    "[::ffff:127.0.0.1]",
    "169.254.169.254",
  ])("refuses the literal address %s without connecting", async (host) => {
    let connections = 0;
    const port = await serveTls(json);
    const http = outbound({ ca: cert });
    const server = await serve(() => connections++);
    const work = http.getJson(`https://${host}:${server}/`, STRICT, contextWith());
    expect(await reasonOf(work)).toBe("address");
    expect([connections, port > 0]).toEqual([0, true]);
  });

  test("refuses a public-looking name whose address is private", async () => {
    let connections = 0;
    const server = createTlsServer({ cert, key }, json).on("connection", () => connections++);
    const port = await listen(server);
    const http = outbound({ ca: cert, resolveName: local });
    const url = `https://idp.test:${port}/`;
    expect(await reasonOf(http.getJson(url, STRICT, contextWith()))).toBe("address");
    expect(connections).toBe(0);
    // The control: the very same name and server answer where private addresses are permitted.
    expect((await http.getJson(url, LIMITS, contextWith())).status).toBe(200);
    expect(connections).toBe(1);
  });

  test("refuses a name with one private address among public ones", async () => {
    const resolveName: ResolveName = async () => [
      { address: "1.1.1.1", family: 4 },
      { address: "::1", family: 6 },
    ];
    const work = outbound({ resolveName }).getJson("https://idp.test/", STRICT, contextWith());
    expect(await reasonOf(work)).toBe("address");
  });

  test("looks at the address that it connects to: a rebound name gains nothing", async () => {
    // A checker that resolves first and lets the socket resolve again would need two look-ups
    // for each connection, and would pass the first answer while connecting to the second.
    const answers = ["127.0.0.1", "169.254.169.254"];
    let lookups = 0;
    const resolveName: ResolveName = async () => [{ address: answers[lookups++]!, family: 4 }];
    const port = await serveTls((request, response) => {
      response.setHeader("connection", "close");
      json(request, response);
    });
    const http = outbound({ ca: cert, resolveName });
    const url = `https://idp.test:${port}/`;
    expect((await http.getJson(url, LIMITS, contextWith())).status).toBe(200);
    expect(lookups).toBe(1);
    expect(await reasonOf(http.getJson(url, LIMITS, contextWith()))).toBe("address");
    expect(lookups).toBe(2);
  });

  test("does not reuse an unsafe call's connection for a strict one", async () => {
    const port = await serveTls(json);
    const http = outbound({ ca: cert, resolveName: local });
    const url = `https://idp.test:${port}/`;
    await http.getJson(url, LIMITS, contextWith());
    expect(await reasonOf(http.getJson(url, STRICT, contextWith()))).toBe("address");
  });

  test("keeps metadata addresses out even where private ones are permitted", async () => {
    const resolveName: ResolveName = async () => [{ address: "169.254.169.254", family: 4 }];
    const work = outbound({ resolveName }).getJson("http://metadata.test/", LIMITS, contextWith());
    expect(await reasonOf(work)).toBe("address");
  });
});

describe("outbound HTTP over TLS", () => {
  test("trusts the given authority, and only with the right name", async () => {
    const port = await serveTls(json);
    const http = outbound({ ca: cert, resolveName: local });
    const good = await http.getJson(`https://idp.test:${port}/`, LIMITS, contextWith());
    expect(good.body).toEqual({ keys: [] });
    const wrongName = http.getJson(`https://other.test:${port}/`, LIMITS, contextWith());
    expect(await reasonOf(wrongName)).toBe("connection");
  });

  test("refuses a certificate that no authority vouches for", async () => {
    const port = await serveTls(json);
    const work = outbound({ resolveName: local }).getJson(
      `https://idp.test:${port}/`,
      LIMITS,
      contextWith(),
    );
    expect(await reasonOf(work)).toBe("connection");
  });
});

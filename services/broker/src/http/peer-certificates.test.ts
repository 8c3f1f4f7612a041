import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect as connectPlain } from "node:net";
import { connect, type ConnectionOptions } from "node:tls";
import { describe, expect, it } from "vitest";
import { BrokerError } from "@mayfly/spec";
import { createFakeClock, createTestX509Authority } from "@mayfly/testkit";
import { testCertificate } from "../testing/test-certificate.ts";
import { createTestEdge } from "../testing/test-edge.ts";
import { createFromProxy } from "./client-address.ts";
import { createPeerCertificates } from "./peer-certificates.ts";

const clock = createFakeClock(Date.now());
const authority = createTestX509Authority({ clock });
const svid = authority.intermediate().intermediate().issue();
const LOOPBACK = { address: "127.0.0.0", family: "ipv4", prefix: 8 } as const;

interface Edge extends AsyncDisposable {
  readonly port: number;
  readonly replaceCertificate: () => void;
}

/** Answers with the chain of each request, as base64, or `null`; with the code of a refusal. */
async function edge({ tls = true, proxied = false, readsHeader = false } = {}): Promise<Edge> {
  const isFromProxy = createFromProxy({ trustedProxies: proxied ? [LOOPBACK] : [] });
  const peer = createPeerCertificates({ trustedProxyClientCert: readsHeader }, isFromProxy);
  const { server, setCertificate } = createTestEdge(
    (_request, { incoming }) => new Response(shown(() => peer(incoming as IncomingMessage))),
    clock,
    tls ? testCertificate() : null,
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: portOf(server),
    replaceCertificate: () => setCertificate(testCertificate()),
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

function shown(chain: () => readonly Uint8Array[] | null): string {
  try {
    return JSON.stringify(chain()?.map((der) => Buffer.from(der).toString("base64")) ?? null);
  } catch (error) {
    return JSON.stringify(BrokerError.is(error) ? error.code : String(error));
  }
}

const inBase64 = (chain: readonly Uint8Array[]): readonly string[] =>
  chain.map((der) => Buffer.from(der).toString("base64"));

interface Seen {
  readonly chain: unknown;
  readonly session: Buffer | null;
  readonly reused: boolean;
}

/** One request of a real TLS client. */
async function ask(
  { port }: Edge,
  options: ConnectionOptions = {},
  headers: readonly string[] = [],
): Promise<Seen> {
  // Whom the server is, is not what this is about: its certificate is self-signed.
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  let session: Buffer | null = null;
  socket.on("session", (next: Buffer) => {
    session = next;
  });
  await once(socket, "secureConnect");
  const reused = socket.isSessionReused();
  socket.write(requestText(headers));
  return { chain: await answerOf(socket), session, reused };
}

async function askPlainly({ port }: Edge, headers: readonly string[]): Promise<unknown> {
  const socket = connectPlain(port, "127.0.0.1");
  socket.write(requestText(headers));
  return answerOf(socket);
}

const requestText = (headers: readonly string[]): string =>
  ["GET / HTTP/1.1", "Host: mayfly.test", "Connection: close", ...headers, "", ""].join("\r\n");

async function answerOf(socket: AsyncIterable<Buffer>): Promise<unknown> {
  const pieces: Buffer[] = [];
  for await (const piece of socket) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString().split("\r\n\r\n")[1] ?? "");
}

describe("the certificates of a connection", () => {
  it.each(["TLSv1.2", "TLSv1.3"] as const)("are those that the client sent, by %s", async (v) => {
    await using it = await edge();
    const seen = await ask(it, { ...svid.pem, minVersion: v, maxVersion: v });
    expect(seen.chain).toEqual(inBase64(svid.chain));
    expect(svid.chain.length).toBe(3);
  });

  it("are none of a client that shows none, which is served all the same", async () => {
    await using it = await edge();
    expect((await ask(it)).chain).toBeNull();
    await using plain = await edge({ tls: false });
    expect(await askPlainly(plain, [])).toBeNull();
  });

  it("are taken from anybody: whose they are is judged later", async () => {
    await using it = await edge();
    const { cert, key } = testCertificate({ until: "2021-01-01" });
    expect((await ask(it, { cert, key })).chain).toHaveLength(1);
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "are shown anew: no session is resumed, by %s",
    async (v) => {
      await using it = await edge();
      const options = { ...svid.pem, minVersion: v, maxVersion: v };
      for (const replaced of [false, true]) {
        if (replaced) it.replaceCertificate();
        const first = await ask(it, options);
        const again = await ask(
          it,
          first.session === null ? options : { ...options, session: first.session },
        );
        expect(again.reused).toBe(false);
        expect(again.chain).toEqual(inBase64(svid.chain));
      }
    },
  );
});

describe("the certificates that a proxy tells of", () => {
  const [leaf = "", ...others] = inBase64(svid.chain).map((base64) => `:${base64}:`);
  const sent = [`Client-Cert: ${leaf}`, `Client-Cert-Chain: ${others.join(", ")}`];

  it("count where the proxy is trusted to tell", async () => {
    await using it = await edge({ tls: false, proxied: true, readsHeader: true });
    expect(await askPlainly(it, sent)).toEqual(inBase64(svid.chain));
    expect(await askPlainly(it, sent.slice(0, 1))).toEqual(inBase64(svid.chain.slice(0, 1)));
    expect(await askPlainly(it, [])).toBeNull();
  });

  it("are not read from anybody else, nor from a proxy that is not to tell", async () => {
    await using direct = await edge({ tls: false, readsHeader: true });
    expect(await askPlainly(direct, sent)).toBeNull();
    await using silent = await edge({ tls: false, proxied: true });
    expect(await askPlainly(silent, sent)).toBeNull();
  });

  it("are never the proxy's own", async () => {
    await using it = await edge({ proxied: true, readsHeader: true });
    expect((await ask(it, svid.pem)).chain).toBeNull();
    expect((await ask(it, svid.pem, sent)).chain).toEqual(inBase64(svid.chain));
    await using silent = await edge({ proxied: true });
    expect((await ask(silent, svid.pem)).chain).toBeNull();
  });

  it.each([
    ["twice", [`Client-Cert: ${leaf}`, `Client-Cert: ${leaf}`]],
    ["as a list", [`Client-Cert: ${leaf}, ${leaf}`]],
    ["without colons", [`Client-Cert: ${leaf.slice(1, -1)}`]],
    ["as another alphabet", [`Client-Cert: :-_-_:`]],
    ["cut short", [`Client-Cert: :${leaf.slice(1, 6)}=:`]],
    ["with parameters", [`Client-Cert: ${leaf};a=1`]],
    ["empty", ["Client-Cert: "]],
    ["with a chain that is none", [`Client-Cert: ${leaf}`, "Client-Cert-Chain: :a:, b"]],
    [
      "with a chain without end",
      [
        `Client-Cert: ${leaf}`,
        `Client-Cert-Chain: ${Array.from({ length: 9 }, () => ":AAAA:").join(", ")}`,
      ],
    ],
  ])("are refused where they are told of %s", async (_how, headers) => {
    await using it = await edge({ tls: false, proxied: true, readsHeader: true });
    expect(await askPlainly(it, headers)).toBe("invalid_request");
  });
});

import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  type CallContext,
  type JsonObject,
  type PresentedIdentity,
  type TrustRoots,
} from "@mayfly/spec";
import { createOutboundHttp, type ClosableOutboundHttp } from "@mayfly/net";
import {
  createFakeClock,
  createRecordingLog,
  createTestX509Authority,
  type TestX509Svid,
} from "@mayfly/testkit";
import { Refusal } from "./refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("acme.test", "name");
const OTHER = parseTrustRootName("other.test", "name");
const SERVER_ID = "spiffe://acme.test/spire/server";
const uri = (text: string) => [{ uniformResourceIdentifier: text }];

// Certificates are of now: TLS on a real socket knows no other clock.
const clock = createFakeClock(1_800_000_000_000);
const authority = createTestX509Authority({ clock });
const context = (): CallContext => ({
  clock,
  signal: new AbortController().signal,
  traceId: "trace",
});

interface Endpoint {
  readonly url: string;
  readonly server: Server;
  bundle: JsonObject;
  serveWith(svid: TestX509Svid): void;
  requests: number;
}
const open: { server: Server; http: ClosableOutboundHttp }[] = [];
afterEach(async () => {
  for (const { server, http } of open.splice(0)) {
    server.close();
    server.closeAllConnections();
    await http.close();
  }
});

async function endpoint(svid: TestX509Svid, bundle: JsonObject): Promise<Endpoint> {
  const server = createServer({ ...svid.pem }, (_request, response) => {
    it.requests += 1;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(it.bundle));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const it: Endpoint = {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/bundle`,
    server,
    bundle,
    serveWith: ({ pem }) => server.setSecureContext({ ...pem }),
    requests: 0,
  };
  return it;
}

const serverSvid = (from = authority, id = SERVER_ID): TestX509Svid =>
  from.issue({ names: uri(id) });
const bundleOf = (...keys: readonly JsonObject[]): JsonObject => ({
  keys: [...keys],
  spiffe_refresh_hint: 60,
});

function rootsFor(
  at: Endpoint,
  change: { readonly id?: string; readonly bootstrap?: JsonObject } = {},
): TrustRoots {
  const http = createOutboundHttp();
  open.push({ server: at.server, http });
  const settings = defaultTrustRootsSettings;
  const log = createRecordingLog();
  const roots = createTrustRoots({ http, issuer: BROKER, settings, log });
  roots.replace([
    roots.parse(NAME, "spiffe", {
      trust_domain: "acme.test",
      bundle_endpoint: {
        url: at.url,
        profile: "https_spiffe",
        endpoint_spiffe_id: change.id ?? SERVER_ID,
        bootstrap_bundle: change.bootstrap ?? { keys: [authority.bundleKey()] },
      },
      unsafe_allow_private_addresses: true,
    }),
  ]);
  return roots;
}

async function outcome(roots: TrustRoots, presented: PresentedIdentity): Promise<string> {
  try {
    await roots.verify(presented, context());
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}

test("a bundle is taken from the server that shows the right SPIFFE ID", async () => {
  const at = await endpoint(serverSvid(), bundleOf(authority.bundleKey()));
  expect(await outcome(rootsFor(at), authority.issue().presented)).toBe("vouched");
  expect(at.requests).toBe(1);
});

test.each([
  ["another id of the domain", serverSvid(authority, "spiffe://acme.test/other")],
  ["an id below it", serverSvid(authority, `${SERVER_ID}/x`)],
  ["an authority that nobody knows", serverSvid(createTestX509Authority({ clock }))],
  [
    "an authority of another domain",
    serverSvid(createTestX509Authority({ clock, trustDomain: "other.test" })),
  ],
  [
    "a certificate for clients alone",
    authority.issue({
      names: uri(SERVER_ID),
      extendedKeyUsage: ["1.3.6.1.5.5.7.3.2"],
    }),
  ],
  ["one that has expired", authority.issue({ names: uri(SERVER_ID), until: clock.now() - 60_000 })],
])("no request is sent to a server that shows %s", async (_what, svid) => {
  const at = await endpoint(svid, bundleOf(authority.bundleKey()));
  expect(await outcome(rootsFor(at), authority.issue().presented)).toBe("keys_unavailable");
  expect(at.requests).toBe(0);
});

test("after the first look its newest bundle counts, and the bootstrap one no more", async () => {
  const next = createTestX509Authority({ clock });
  const at = await endpoint(serverSvid(), bundleOf(next.bundleKey()));
  const roots = rootsFor(at);
  expect(await outcome(roots, next.issue().presented)).toBe("vouched");
  at.bundle = bundleOf(authority.bundleKey(), next.bundleKey());
  await clock.advance(60_000);
  // Still served with what only the bootstrap bundle vouched for: the bundle of before stays.
  expect(await outcome(roots, authority.issue().presented)).toBe("path");
  expect(at.requests).toBe(1);
  at.serveWith(serverSvid(next));
  await clock.advance(60_000);
  expect(await outcome(roots, authority.issue().presented)).toBe("vouched");
  expect(at.requests).toBe(2);
});

test("an endpoint of another domain is judged by that domain's root, once it holds a bundle", async () => {
  const other = createTestX509Authority({ clock, trustDomain: "other.test" });
  const stale = createTestX509Authority({ clock, trustDomain: "other.test" });
  const id = "spiffe://other.test/federation";
  const at = await endpoint(serverSvid(stale, id), bundleOf(authority.bundleKey()));
  const roots = rootsFor(at, { id, bootstrap: { keys: [stale.bundleKey()] } });
  expect(await outcome(roots, authority.issue().presented)).toBe("vouched");
  const { http } = open[0] ?? { http: createOutboundHttp() };
  const both = createTrustRoots({
    http,
    issuer: BROKER,
    settings: defaultTrustRootsSettings,
    log: createRecordingLog(),
  });
  both.replace([
    both.parse(OTHER, "spiffe", {
      trust_domain: "other.test",
      bundle: { keys: [other.bundleKey()] },
    }),
    both.parse(NAME, "spiffe", {
      trust_domain: "acme.test",
      bundle_endpoint: {
        url: at.url,
        profile: "https_spiffe",
        endpoint_spiffe_id: id,
        bootstrap_bundle: { keys: [stale.bundleKey()] },
      },
      unsafe_allow_private_addresses: true,
    }),
  ]);
  expect(await outcome(both, authority.issue().presented)).toBe("keys_unavailable");
  at.serveWith(serverSvid(other, id));
  await clock.advance(2000);
  expect(await outcome(both, authority.issue().presented)).toBe("vouched");
});

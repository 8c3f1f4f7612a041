import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { TLSSocket } from "node:tls";
import { afterEach, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  Secret,
  type AgentSvid,
  type CallContext,
  type TrustRoots,
  type WorkloadApi,
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

const NAME = parseTrustRootName("acme.test", "name");
const SERVER_ID = "spiffe://acme.test/spire/server";
// Certificates are of now: TLS on a real socket knows no other clock.
const clock = createFakeClock(1_800_000_000_000);
const authority = createTestX509Authority({ clock });
const issue = (id: string): TestX509Svid =>
  authority.issue({ names: [{ uniformResourceIdentifier: id }] });
const agentSvid = (id: string): AgentSvid => {
  const { chain, pem } = issue(id);
  return { spiffeId: id, chain, privateKey: Secret.of(pem.key) };
};

const open: { readonly server: Server; readonly http: ClosableOutboundHttp }[] = [];
afterEach(async () => {
  for (const { server, http } of open.splice(0)) {
    server.close();
    server.closeAllConnections();
    await http.close();
  }
});

/** A bundle endpoint that asks for a client certificate and serves nobody without, as in a mesh. */
async function setUp(change: { readonly client_svid?: true; readonly hasAgent?: boolean } = {}) {
  const { hasAgent = true, ...config } = change;
  const shown: (string | null)[] = [];
  const http = createOutboundHttp();
  const server = createServer(
    { ...issue(SERVER_ID).pem, requestCert: true, rejectUnauthorized: false },
    ({ socket }, response) => {
      const peer = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
      const id = peer?.subjectAltName?.replace(/^URI:/, "") ?? null;
      shown.push(id);
      response.statusCode = id === null ? 403 : 200;
      const keys = [authority.bundleKey()];
      response.end(JSON.stringify({ keys, spiffe_refresh_hint: 60 }));
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push({ server, http });
  let tell: (svid: AgentSvid) => void = () => undefined;
  let followers = 0;
  const workloadApi: WorkloadApi = {
    bundles: () => null,
    firstBundles: async () => {
      throw new BrokerError("backend_unavailable", "nothing told");
    },
    followSvid: (changed) => {
      followers += 1;
      tell = changed;
      changed(agentSvid("spiffe://acme.test/mayfly"));
    },
    close: async () => undefined,
  };
  const roots = createTrustRoots({
    http,
    issuer: "https://broker.test",
    settings: defaultTrustRootsSettings,
    log: createRecordingLog(),
    ...(hasAgent ? { workloadApi } : {}),
  });
  roots.replace([
    roots.parse(NAME, "spiffe", {
      trust_domain: "acme.test",
      bundle_endpoint: {
        url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/bundle`,
        profile: "https_spiffe",
        endpoint_spiffe_id: SERVER_ID,
        bootstrap_bundle: { keys: [authority.bundleKey()] },
        ...config,
      },
      unsafe_allow_private_addresses: true,
    }),
  ]);
  return {
    roots,
    shown,
    tell: (svid: AgentSvid) => tell(svid),
    followers: () => followers,
  };
}

async function outcome(roots: TrustRoots): Promise<string> {
  const signal = new AbortController().signal;
  const context: CallContext = { clock, signal, traceId: "trace" };
  try {
    await roots.verify(authority.issue().presented, context);
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}

test("a bundle endpoint is shown the broker's own SVID where it is configured so", async () => {
  const { roots, shown } = await setUp({ client_svid: true });
  expect(await outcome(roots)).toBe("vouched");
  expect(shown).toEqual(["spiffe://acme.test/mayfly"]);
});

test("none is shown, and the agent not asked for one, where it is not", async () => {
  const { roots, shown, followers } = await setUp();
  expect(await outcome(roots)).toBe("keys_unavailable");
  expect([shown, followers()]).toEqual([[null], 0]);
});

test("each look shows the newest, and all of them follow the agent once", async () => {
  const { roots, shown, tell, followers } = await setUp({ client_svid: true });
  await outcome(roots);
  tell(agentSvid("spiffe://acme.test/mayfly/rotated"));
  await clock.advance(60_000);
  expect(await outcome(roots)).toBe("vouched");
  expect(shown).toEqual(["spiffe://acme.test/mayfly", "spiffe://acme.test/mayfly/rotated"]);
  expect(followers()).toBe(1);
});

test("without an agent nothing is sent, and no key is trusted", async () => {
  const { roots, shown } = await setUp({ client_svid: true, hasAgent: false });
  expect(await outcome(roots)).toBe("keys_unavailable");
  expect(shown).toEqual([]);
});

test("only an endpoint that is judged by its SPIFFE ID may be shown one", async () => {
  const { roots } = await setUp();
  const parse = () =>
    roots.parse(NAME, "spiffe", {
      trust_domain: "acme.test",
      bundle_endpoint: { url: "https://a.test/b", profile: "https_web", client_svid: true },
    });
  expect(parse).toThrow(/client_svid/);
});

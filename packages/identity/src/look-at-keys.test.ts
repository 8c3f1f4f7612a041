import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseTrustRootName, type TrustRoots } from "@mayfly/spec";
import { createOutboundHttp, type ClosableOutboundHttp } from "@mayfly/net";
import {
  createFakeClock,
  createRecordingLog,
  createTestSigningKey,
  startDocumentServer,
  type DocumentServer,
} from "@mayfly/testkit";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("idp.test", "name");
const clock = createFakeClock();

let http: ClosableOutboundHttp;
let server: DocumentServer;
let roots: TrustRoots;
let discovery: (origin: string) => unknown;
let keys: readonly unknown[];

beforeEach(async () => {
  http = createOutboundHttp();
  keys = [createTestSigningKey("k1").publicJwk];
  discovery = (origin) => ({ issuer: origin, jwks_uri: `${origin}/keys` });
  server = await startDocumentServer((path) => {
    if (path === "/keys") return { body: { keys }, maxAgeSeconds: null };
    return path.endsWith("/openid-configuration")
      ? { body: discovery(server.origin), maxAgeSeconds: null }
      : null;
  });
  const settings = defaultTrustRootsSettings;
  roots = createTrustRoots({ http, issuer: BROKER, settings, log: createRecordingLog() });
});
afterEach(async () => {
  await server.close();
  await http.close();
});

async function problemOf(config: Readonly<Record<string, unknown>>): Promise<string | null> {
  const root = roots.parse(NAME, "oidc", { unsafe_allow_private_addresses: true, ...config });
  const signal = new AbortController().signal;
  return (await roots.look(root, { clock, signal, traceId: "t" })).problem;
}

describe("a look at an issuer says which mistake it is", () => {
  test("and none where there is none", async () => {
    expect(await problemOf({ issuer: server.origin })).toBe(null);
  });

  test("when one has a trailing slash and the other has not", async () => {
    expect(await problemOf({ issuer: `${server.origin}/` })).toContain(
      "without the trailing slash",
    );
    discovery = (origin) => ({ issuer: `${origin}/`, jwks_uri: `${origin}/keys` });
    expect(await problemOf({ issuer: server.origin })).toContain("with a trailing slash");
    expect(await problemOf({ issuer: `${server.origin}/` })).toBe(null);
  });

  test("when the document is of another issuer, without quoting it", async () => {
    discovery = (origin) => ({ issuer: "https://evil.test", jwks_uri: `${origin}/keys` });
    const problem = await problemOf({ issuer: server.origin });
    expect(problem).toContain("of another issuer");
    expect(problem).not.toContain("evil");
    discovery = () => ({});
    expect(await problemOf({ issuer: server.origin })).toContain("names no issuer");
  });

  test("when it has a template for its issuer, as Entra's common endpoint has", async () => {
    discovery = (origin) => ({
      issuer: "https://login.microsoftonline.com/{tenantid}/v2.0",
      jwks_uri: `${origin}/keys`,
    });
    expect(await problemOf({ issuer: `${server.origin}/common/v2.0` })).toContain("tenant's id");
  });

  test("when no key can verify anything", async () => {
    keys = [createTestSigningKey("small", "RS256", 1024).publicJwk, { kty: "oct", k: "AA" }];
    expect(await problemOf({ issuer: server.origin })).toContain("no key");
  });

  test("when its address is a private one", async () => {
    const issuer = server.origin.replace("http:", "https:");
    expect(await problemOf({ issuer, unsafe_allow_private_addresses: false })).toContain(
      "unsafe_allow_private_addresses",
    );
  });

  test("when it is http, before any look", () => {
    const http = { issuer: server.origin, unsafe_allow_private_addresses: false };
    expect(() => roots.parse(NAME, "oidc", http)).toThrow(/expected https/);
  });

  test("when the keys are at an address that is not https", async () => {
    discovery = (origin) => ({ issuer: origin, jwks_uri: "ftp://keys.test/" });
    expect(await problemOf({ issuer: server.origin })).toContain("https jwks_uri");
  });
});

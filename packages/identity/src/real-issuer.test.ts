import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  type PresentedIdentity,
  type TrustRoots,
} from "@mayfly/spec";
import { createOutboundHttp, type ClosableOutboundHttp } from "@mayfly/net";
import {
  createFakeClock,
  createRecordingLog,
  startTestOidcIssuer,
  type FakeClock,
  type TestOidcIssuer,
} from "@mayfly/testkit";
import { Refusal } from "./refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("idp.test", "name");

let clock: FakeClock;
let http: ClosableOutboundHttp;
let issuer: TestOidcIssuer;
let roots: TrustRoots;

beforeEach(async () => {
  clock = createFakeClock();
  http = createOutboundHttp();
  issuer = await startTestOidcIssuer({
    clock,
    audience: BROKER,
    path: "/realm",
    maxAgeSeconds: 60,
  });
  const settings = defaultTrustRootsSettings;
  roots = createTrustRoots({ http, issuer: BROKER, settings, log: createRecordingLog() });
  const config = { issuer: issuer.issuer, unsafe_allow_private_addresses: true };
  roots.replace([roots.parse(NAME, "oidc", config)]);
});
afterEach(async () => {
  await issuer.close();
  await http.close();
});

async function outcome(presented: PresentedIdentity = issuer.present()): Promise<string> {
  const signal = new AbortController().signal;
  try {
    await roots.verify(presented, { clock, signal, traceId: "t" });
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}

describe("an issuer on a real server", () => {
  test("is discovered below its path, once", async () => {
    expect([await outcome(), await outcome()]).toEqual(["vouched", "vouched"]);
    expect(issuer.fetches).toEqual({ discovery: 1, jwks: 1 });
  });

  test.each(["status", "not_json", "huge", "redirect", "reset"] as const)(
    "that fails by %s is left alone for its back-off, and used again afterwards",
    async (failure) => {
      issuer.fail(failure);
      for (let n = 0; n < 5; n++) expect(await outcome()).toBe("keys_unavailable");
      expect(issuer.fetches).toEqual({ discovery: 1, jwks: 0 });
      issuer.fail(null);
      await clock.advance(1000);
      expect(await outcome()).toBe("vouched");
    },
  );

  test("that hangs is given up after 5 s", async () => {
    issuer.fail("hang");
    const waiting = outcome();
    while (issuer.fetches.discovery === 0) await clock.settle();
    await clock.advance(5000);
    expect(await waiting).toBe("keys_unavailable");
  });

  test("that takes a key out is believed when its max-age is over", async () => {
    const old = issuer.present();
    const { kid } = issuer.key;
    expect(await outcome(old)).toBe("vouched");
    issuer.rotate();
    expect(await outcome()).toBe("vouched");
    issuer.unpublish(kid);
    expect(await outcome(old)).toBe("vouched");
    await clock.advance(60_000);
    expect(await outcome(old)).toBe("unknown_key");
    expect(await outcome()).toBe("vouched");
  });

  test("whose discovery names somebody else is not believed", async () => {
    issuer.claimIssuer(`${issuer.issuer}/`);
    expect(await outcome()).toBe("keys_unavailable");
    expect(issuer.fetches.jwks).toBe(0);
  });

  test("is out of reach for a trust root that may not use private addresses", async () => {
    const jwks_uri = issuer.jwksUri.replace("http://", "https://");
    const config = { issuer: "https://idp.test", jwks_uri };
    roots.replace([roots.parse(NAME, "oidc", config)]);
    const presented = issuer.present({ claims: { iss: "https://idp.test" } });
    const context = { clock, signal: new AbortController().signal, traceId: "t" };
    const error: unknown = await roots
      .verify(presented, context)
      .catch((thrown: unknown) => thrown);
    // Not a failed TLS handshake: the address was refused before any connection.
    expect(error).toMatchObject({ cause: { cause: { name: "OutboundError", reason: "address" } } });
  });
});

import { describe, expect, test } from "vitest";
import { BrokerError, parseTrustRootName, Secret } from "@mayfly/spec";
import {
  asBundleKey,
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestTrustDomain,
} from "@mayfly/testkit";
import { Refusal } from "./refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("acme.test", "name");
const URL = "https://spire.acme.test/bundle";

/** A trust domain over a fake network and a fake clock. */
function setUpDomain() {
  const clock = createFakeClock();
  const http = createFakeOutboundHttp();
  const log = createRecordingLog();
  const settings = defaultTrustRootsSettings;
  const roots = createTrustRoots({ http, issuer: BROKER, settings, log });
  roots.replace([
    roots.parse(NAME, "spiffe", {
      trust_domain: "acme.test",
      bundle_endpoint: { url: URL, profile: "https_web" },
    }),
  ]);
  const domain = createTestTrustDomain({ clock, audience: BROKER });
  http.serve(URL, async () => ({ body: domain.bundle() }));
  return { clock, http, log, roots, domain, fetches: (): number => http.requests.length };
}

async function outcome(
  { clock, roots }: ReturnType<typeof setUpDomain>,
  text: string,
): Promise<string> {
  const signal = new AbortController().signal;
  try {
    await roots.verify({ kind: "jwt", token: Secret.of(text) }, { clock, signal, traceId: "t" });
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}

describe("SPIFFE bundle endpoint", () => {
  test("is asked again after its refresh hint", async () => {
    const it = setUpDomain();
    expect(await outcome(it, it.domain.token())).toBe("vouched");
    await it.clock.advance(59_999);
    await outcome(it, it.domain.token());
    expect(it.fetches()).toBe(1);
    await it.clock.advance(1);
    await outcome(it, it.domain.token());
    expect(it.fetches()).toBe(2);
  });

  test("without a refresh hint is asked again after 300 s", async () => {
    const it = setUpDomain();
    it.http.serve(URL, { body: { keys: [asBundleKey(it.domain.key)] }, maxAgeSeconds: 5 });
    await outcome(it, it.domain.token());
    await it.clock.advance(299_999);
    await outcome(it, it.domain.token());
    expect(it.fetches()).toBe(1);
    await it.clock.advance(1);
    await outcome(it, it.domain.token());
    expect(it.fetches()).toBe(2);
  });

  test("a bundle emptied meanwhile kills what was trusted a moment ago", async () => {
    const it = setUpDomain();
    const text = it.domain.token();
    expect(await outcome(it, text)).toBe("vouched");
    it.domain.publish([]);
    await it.clock.advance(60_000);
    expect(await outcome(it, text)).toBe("unknown_key");
  });

  test("an authority that was added is found, one that was removed is refused", async () => {
    const it = setUpDomain();
    const old = it.domain.token();
    await outcome(it, old);
    const added = it.domain.rotate();
    expect(await outcome(it, it.domain.token())).toBe("vouched");
    it.domain.publish([asBundleKey(added)]);
    await it.clock.advance(60_000);
    expect(await outcome(it, old)).toBe("unknown_key");
  });

  test("a rotated key is found for an SVID without key id, too", async () => {
    const it = setUpDomain();
    await outcome(it, it.domain.token());
    it.domain.rotate();
    expect(await outcome(it, it.domain.token({ header: { kid: undefined } }))).toBe("vouched");
    expect(it.fetches()).toBe(2);
  });

  test("an older sequence is ignored and reported: a leaked key does not come back", async () => {
    const it = setUpDomain();
    const leaked = it.domain.key;
    it.domain.rotate();
    it.domain.publish([asBundleKey(it.domain.key)], 7);
    expect(await outcome(it, it.domain.token())).toBe("vouched");
    it.domain.publish([asBundleKey(leaked)], 6);
    await it.clock.advance(60_000);
    expect(await outcome(it, it.domain.token({ key: leaked }))).toBe("unknown_key");
    expect(await outcome(it, it.domain.token())).toBe("vouched");
    expect(it.log.messages("error")).toEqual([
      "a trust domain served an older bundle than before; it is ignored",
    ]);
  });

  test("an older sequence is ignored only as long as keys may be stale", async () => {
    const it = setUpDomain();
    it.domain.publish([asBundleKey(it.domain.key)], 7);
    await outcome(it, it.domain.token());
    it.domain.publish([asBundleKey(it.domain.key)], 6);
    await it.clock.advance(60_000 + 3_600_000);
    expect(await outcome(it, it.domain.token())).toBe("keys_unavailable");
  });
});

import { describe, expect, test } from "vitest";
import { describeIdentityContract, type IdentityFlaw } from "./contract/identity-contract.ts";
import { createFakeClock } from "./fake-clock.ts";
import {
  createFakeTrustRoots,
  createFakeVerifier,
  fakeIdentity,
  fakeTrustRoot,
} from "./fake-trust-roots.ts";

const BROKER = "https://broker.test";
const TRUST = { name: "acme.test", kind: "spiffe", issuer: "spiffe://acme.test" } as const;
const SUBJECT = "spiffe://acme.test/agent";

describeIdentityContract({
  name: "fake trust roots",
  start: async () => {
    const clock = createFakeClock();
    const root = fakeTrustRoot(TRUST);
    const facts = () => ({
      kind: TRUST.kind,
      issuer: TRUST.issuer,
      subject: SUBJECT,
      audience: BROKER,
      expiresAt: clock.now() + 300_000,
    });
    const spoiled = (flaw: IdentityFlaw) => {
      switch (flaw) {
        case "expired":
          return fakeIdentity({ ...facts(), expiresAt: clock.now() - 120_000 });
        case "not_valid_yet":
          return fakeIdentity({ ...facts(), notBeforeAt: clock.now() + 120_000 });
        case "other_audience":
          return fakeIdentity({ ...facts(), audience: "https://other.test" });
        case "other_key":
        case "tampered":
          return fakeIdentity(facts(), "another issuer");
      }
    };
    return {
      clock,
      trustRoots: createFakeTrustRoots({ issuer: BROKER }),
      root,
      verifier: createFakeVerifier(root, BROKER),
      subject: SUBJECT,
      present: (flaw) => (flaw === undefined ? fakeIdentity(facts()) : spoiled(flaw)),
      presentForeign: () => fakeIdentity({ ...facts(), issuer: "spiffe://other.test" }),
      fetches: () => 0,
      close: async () => undefined,
    };
  },
});

describe("fake trust roots", () => {
  test("a one-time token carries its jti, and one without is refused", async () => {
    const clock = createFakeClock();
    const roots = createFakeTrustRoots({
      issuer: BROKER,
      roots: [fakeTrustRoot({ ...TRUST, oneTimeTokens: true })],
    });
    const context = { clock, signal: new AbortController().signal, traceId: "trace" };
    const facts = {
      kind: TRUST.kind,
      issuer: TRUST.issuer,
      subject: SUBJECT,
      audience: BROKER,
      expiresAt: clock.now() + 1000,
    };
    const identity = await roots.verify(fakeIdentity({ ...facts, jti: "1" }), context);
    expect(identity.oneTime).toMatchObject({ issuer: TRUST.issuer, jti: "1" });
    await expect(roots.verify(fakeIdentity(facts), context)).rejects.toThrow(
      /could not be verified/,
    );
  });
});

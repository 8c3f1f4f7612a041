import {
  GeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  KeyUsageFlags,
  NameConstraints,
} from "@peculiar/asn1-x509";
import { describe, expect, test } from "vitest";
import {
  asBundleKey,
  createTestTrustDomain,
  createTestX509Authority,
  testKeyPair,
} from "@mayfly/testkit";
import {
  BROKER,
  WORKLOAD,
  acme,
  clock,
  other,
  outcome,
  presentedOutcome,
  rootsWith,
  uri,
  verify,
} from "./testing/x509-bench.ts";

const MINUTE_MS = 60_000;
const jwts = createTestTrustDomain({ clock, audience: BROKER });

describe("the path", () => {
  test("leads over what came along, in any order, to an authority of the bundle", async () => {
    const { chain } = acme.intermediate().intermediate().issue();
    const [leaf, ...others] = chain;
    expect(others.length).toBe(2);
    const at = (...sent: readonly (Uint8Array | undefined)[]): Promise<string> =>
      presentedOutcome({ kind: "x509", chain: sent.filter((each) => each !== undefined) });
    expect(await at(leaf, ...others)).toBe("vouched");
    expect(await at(leaf, ...others.toReversed())).toBe("vouched");
    expect(await at(leaf, ...others, acme.der)).toBe("vouched");
    expect(await at(leaf, others[0])).toBe("path");
    expect(await at(leaf)).toBe("path");
  });

  test("ends in the bundle of the id's own trust domain: another's authority vouches for none", async () => {
    const names = [uri(WORKLOAD)];
    expect(await outcome(other.issue())).toBe("vouched");
    expect(await outcome(other.issue({ names }))).toBe("path");
    expect(await outcome(other.intermediate().issue({ names }))).toBe("path");
    // Nor does it where its certificate is sent along, or names the other domain.
    const { chain } = other.issue({ names });
    expect(await presentedOutcome({ kind: "x509", chain: [...chain, other.der] })).toBe("path");
  });

  test("does not end in an authority that the caller brought along", async () => {
    const own = createTestX509Authority({ clock });
    const { chain } = own.issue();
    expect(await presentedOutcome({ kind: "x509", chain: [...chain, own.der] })).toBe("path");
  });

  test("does not end in an authority of the same name with another key", async () => {
    const change = { subject: "one authority" };
    const real = createTestX509Authority({ clock, change });
    const forged = createTestX509Authority({ clock, change });
    const roots = rootsWith([real.bundleKey()]);
    expect(await outcome(real.issue(), roots)).toBe("vouched");
    expect(await outcome(forged.issue(), roots)).toBe("signature");
  });

  test("does not go through a leaf, however it is used", async () => {
    const middle = acme.intermediate({ isAuthority: false });
    expect(await outcome(middle.issue())).toBe("path");
    const unsigned = acme.intermediate({ keyUsage: KeyUsageFlags.cRLSign });
    expect(await outcome(unsigned.issue())).toBe("path");
  });

  test("is no longer than an authority above allows", async () => {
    const short = acme.intermediate({ pathLengthMax: 0 });
    expect(await outcome(short.issue())).toBe("vouched");
    expect(await outcome(short.intermediate().issue())).toBe("path");
  });

  test("goes through no authority that has expired, is not valid yet, or is not for clients", async () => {
    const past = acme.intermediate({ until: clock.now() - MINUTE_MS });
    expect(await outcome(past.issue())).toBe("time");
    const future = acme.intermediate({ from: clock.now() + 2 * MINUTE_MS });
    expect(await outcome(future.issue())).toBe("time");
    const servers = acme.intermediate({ extendedKeyUsage: ["1.3.6.1.5.5.7.3.1"] });
    expect(await outcome(servers.issue())).toBe("path");
  });

  test("ends in no authority of the bundle that has expired", async () => {
    const old = createTestX509Authority({ clock, change: { until: clock.now() - MINUTE_MS } });
    expect(await outcome(old.issue(), rootsWith([old.bundleKey()]))).toBe("time");
  });

  test("lives as long as what expires first in it", async () => {
    const middle = acme.intermediate({ until: clock.now() + MINUTE_MS });
    const { expiresAt } = await verify(middle.issue().presented);
    expect(expiresAt - clock.now()).toBe(MINUTE_MS);
  });
});

describe("constraints on names", () => {
  const constrained = (
    permitted: readonly Partial<GeneralName>[],
    excluded: readonly Partial<GeneralName>[] = [],
  ) =>
    acme.intermediate({
      nameConstraints: new NameConstraints({
        ...(permitted.length > 0 ? { permittedSubtrees: subtrees(permitted) } : {}),
        ...(excluded.length > 0 ? { excludedSubtrees: subtrees(excluded) } : {}),
      }),
    });
  const subtrees = (names: readonly Partial<GeneralName>[]): GeneralSubtrees =>
    new GeneralSubtrees(
      names.map((name) => new GeneralSubtree({ base: new GeneralName(name), minimum: 0 })),
    );

  test("a trust domain lies within what is permitted, or the path ends", async () => {
    expect(await outcome(constrained([uri("acme.test")]).issue())).toBe("vouched");
    expect(await outcome(constrained([uri(".test")]).issue())).toBe("vouched");
    expect(await outcome(constrained([uri("other.test")]).issue())).toBe("path");
    expect(await outcome(constrained([uri("me.test")]).issue())).toBe("path");
  });

  test("nor within what is excluded", async () => {
    expect(await outcome(constrained([], [uri("acme.test")]).issue())).toBe("path");
    expect(await outcome(constrained([], [uri("other.test")]).issue())).toBe("vouched");
  });

  test("they hold for DNS names beside it, and for all below", async () => {
    const names = [uri(WORKLOAD), { dNSName: "db.acme.test" }];
    const permitted = constrained([{ dNSName: "acme.test" }]);
    expect(await outcome(permitted.issue({ names }))).toBe("vouched");
    expect(await outcome(permitted.intermediate().issue({ names }))).toBe("vouched");
    const barred = constrained([{ dNSName: "other.test" }]);
    expect(await outcome(barred.issue({ names }))).toBe("path");
    expect(await outcome(barred.intermediate().issue({ names }))).toBe("path");
  });

  test("a base with a dot before it bars the names below, and an empty one bars all", async () => {
    const names = [uri(WORKLOAD), { dNSName: "db.acme.test" }];
    const barred = (base: string) => outcome(constrained([], [{ dNSName: base }]).issue({ names }));
    expect(await barred(".acme.test")).toBe("path");
    expect(await barred(".db.acme.test")).toBe("vouched");
    expect(await barred("")).toBe("path");
    const within = (base: string) => outcome(constrained([{ dNSName: base }]).issue({ names }));
    expect(await within(".acme.test")).toBe("vouched");
    expect(await within(".other.test")).toBe("path");
    expect(await outcome(constrained([], [uri("")]).issue())).toBe("path");
  });

  test("a base with bounds, which nobody may give it, permits nothing and bars all", async () => {
    const bounded = new GeneralSubtrees([
      new GeneralSubtree({ base: new GeneralName(uri("other.test")), minimum: 1 }),
    ]);
    const barred = acme.intermediate({
      nameConstraints: new NameConstraints({ excludedSubtrees: bounded }),
    });
    expect(await outcome(barred.issue())).toBe("path");
    const permitted = new GeneralSubtrees([
      new GeneralSubtree({ base: new GeneralName(uri("acme.test")), minimum: 0, maximum: 2 }),
    ]);
    const within = acme.intermediate({
      nameConstraints: new NameConstraints({ permittedSubtrees: permitted }),
    });
    expect(await outcome(within.issue())).toBe("path");
  });

  test("a dot at a name's end does not take it out of what is barred", async () => {
    const names = [uri(WORKLOAD), { dNSName: "db.acme.test." }];
    const barred = constrained([], [{ dNSName: "acme.test" }]);
    expect(await outcome(barred.issue({ names }))).toBe("path");
  });

  test("a name of a form that is constrained and not compared here is refused", async () => {
    const names = [uri(WORKLOAD), { rfc822Name: "bot@acme.test" }];
    expect(await outcome(constrained([{ rfc822Name: "acme.test" }]).issue({ names }))).toBe("path");
    expect(await outcome(constrained([{ rfc822Name: "acme.test" }]).issue())).toBe("vouched");
  });
});

describe("the bundle", () => {
  test("serves X509-SVIDs by `use: x509-svid` alone", async () => {
    const key = acme.bundleKey();
    for (const use of ["jwt-svid", "sig", "wit-svid", "X509-SVID", undefined]) {
      expect(await outcome(acme.issue(), rootsWith([{ ...key, use }]))).toBe("path");
    }
    expect(await outcome(acme.issue(), rootsWith([{ ...key, use: "other" }, key]))).toBe("vouched");
  });

  test("keeps both kinds of key apart, and one that is unusable skips itself alone", async () => {
    const keys = [{ kty: "new", use: "x509-svid" }, asBundleKey(jwts.key)];
    const roots = rootsWith([...keys, acme.bundleKey()]);
    expect(await outcome(acme.issue(), roots)).toBe("vouched");
    expect(await presentedOutcome(jwts.present(), roots)).toBe("vouched");
    expect(await outcome(acme.issue(), rootsWith(keys))).toBe("path");
  });

  test("takes the first certificate of `x5c` and no other", async () => {
    const key = acme.bundleKey();
    const der = Buffer.from(acme.der).toString("base64");
    const foreign = Buffer.from(other.der).toString("base64");
    const with5c = (x5c: unknown): Promise<string> =>
      outcome(acme.issue(), rootsWith([{ ...key, x5c }]));
    expect(await with5c([der, foreign])).toBe("vouched");
    for (const x5c of [[foreign, der], [], [""], "text", undefined, [7]]) {
      expect(await with5c(x5c)).toBe("path");
    }
  });

  test("holds no authority whose key is not the one beside it, nor a leaf", async () => {
    const { x5c: _x5c, ...foreign } = other.bundleKey();
    const mixed = { ...foreign, x5c: acme.bundleKey()["x5c"] };
    expect(await outcome(acme.issue(), rootsWith([mixed]))).toBe("path");
    const keys = testKeyPair();
    const leaf = createTestX509Authority({ clock, keys, change: { isAuthority: false } });
    expect(await outcome(leaf.issue(), rootsWith([leaf.bundleKey()]))).toBe("path");
  });

  test("that is empty trusts nothing", async () => {
    expect(await outcome(acme.issue(), rootsWith([]))).toBe("path");
  });
});

describe("what a trust root declares", () => {
  test("an attribute of the id is there; one that a certificate cannot have refuses it", async () => {
    const of = (claim: string) => ({ attributes: { agent: { claim, stability: "immutable" } } });
    const keys = [acme.bundleKey()];
    const identity = await verify(acme.issue().presented, rootsWith(keys, of("sub")));
    expect(identity.workload.attributes).toEqual({
      agent: { value: WORKLOAD, stability: "immutable" },
    });
    expect(await outcome(acme.issue(), rootsWith(keys, of("team")))).toBe("attributes");
    const required = { required_claims: { team: "a" } };
    expect(await outcome(acme.issue(), rootsWith(keys, required))).toBe("claims");
  });
});

import { id_ce_keyUsage } from "@peculiar/asn1-x509";
import { describe, expect, test } from "vitest";
import { instantMs } from "@mayfly/spec";
import { createTestX509Authority, testKeyPair, type TestX509Svid } from "@mayfly/testkit";
import { Refusal } from "../refusal.ts";
import { parseCertificate, type Certificate } from "./certificate.ts";
import { findPath } from "./find-path.ts";
import { createKnownCertificates } from "./known-certificates.ts";
import { parsePresentedChain } from "./presented-chain.ts";
import {
  NAME,
  acme,
  clock,
  other,
  outcome,
  presentedOutcome,
  rootsWith,
} from "./testing/x509-bench.ts";

/** A key usage that decodes to what it should be, in another encoding than DER. */
const LOOSE = { id: id_ce_keyUsage, critical: true, value: Buffer.from("0381020780", "hex") };
const MALFORMED = { keyUsage: null, extensions: [LOOSE] } as const;

const authoritiesOf = (...ders: readonly Uint8Array[]): readonly Certificate[] =>
  ders.map(parseCertificate);
const decode = (
  svid: Pick<TestX509Svid, "chain">,
  known = createKnownCertificates(),
  authorities = authoritiesOf(acme.der),
) => known.decode(parsePresentedChain(svid.chain), authorities);

function reasonOf(work: () => unknown): string {
  try {
    work();
    return "none";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.reason;
  }
}

describe("of a chain is decoded", () => {
  test("nothing that no authority of the domain has signed, however it is made", async () => {
    expect(await outcome(acme.issue(MALFORMED))).toBe("malformed");
    const stranger = createTestX509Authority({ clock });
    expect(await outcome(stranger.issue(MALFORMED))).toBe("path");
    // Nor what a stranger sends along with a leaf that is good, or with a leaf of theirs.
    const along = stranger.issue(MALFORMED).chain;
    const [leaf = new Uint8Array()] = acme.issue().chain;
    expect(await presentedOutcome({ kind: "x509", chain: [leaf, ...along] })).toBe("vouched");
    const own = stranger.intermediate(MALFORMED).issue();
    expect(await presentedOutcome({ kind: "x509", chain: [...own.chain, stranger.der] })).toBe(
      "path",
    );
  });

  test("what leads from an authority to the leaf, in any order", () => {
    const { chain } = acme.intermediate().intermediate().issue();
    const [leaf, ...others] = chain;
    for (const sent of [others, others.toReversed()]) {
      const along = [...sent, other.der];
      const found = decode({ chain: [leaf ?? new Uint8Array(), ...along] });
      expect(found.others.map(({ x509 }) => x509.fingerprint256).toSorted()).toEqual(
        others.map((der) => parseCertificate(der).x509.fingerprint256).toSorted(),
      );
    }
  });

  test("nothing that a workload's own key has signed", () => {
    const keys = testKeyPair();
    const svid = acme.issue({ keyUsage: null, subject: "a workload" }, keys);
    const change = { subject: "a workload" };
    const below = createTestX509Authority({ clock, keys, change }).issue(MALFORMED);
    expect(decode({ chain: [...svid.chain, ...below.chain] }).others).toEqual([]);
  });

  test("nothing where too many signatures would have to be looked at", () => {
    const change = { subject: "one name for all" };
    const many = Array.from({ length: 65 }, () => createTestX509Authority({ clock, change }));
    const forged = createTestX509Authority({ clock, change }).issue();
    const authorities = authoritiesOf(...many.map(({ der }) => der));
    expect(reasonOf(() => decode(forged, createKnownCertificates(), authorities))).toBe(
      "too_large",
    );
    const few = authorities.slice(0, 64);
    expect(reasonOf(() => decode(forged, createKnownCertificates(), few))).toBe("signature");
  });
});

describe("what was decoded", () => {
  test("is remembered, as many certificates as there may be, and a stranger's never", () => {
    const known = createKnownCertificates(2);
    const [one, two] = [acme.issue(), acme.issue()];
    const first = decode(one, known).leaf;
    expect(decode(one, known).leaf).toBe(first);
    const stranger = createTestX509Authority({ clock });
    for (let n = 0; n < 5; n += 1) reasonOf(() => decode(stranger.issue(), known));
    expect(decode(one, known).leaf).toBe(first);
    decode(two, known);
    decode(acme.issue(), known);
    expect(decode(one, known).leaf).not.toBe(first);
  });

  test("counts by the authorities of each time, not by those of before", async () => {
    const svid = acme.intermediate().issue();
    const roots = rootsWith();
    expect(await outcome(svid, roots)).toBe("vouched");
    const next = createTestX509Authority({ clock });
    const bundle = { keys: [next.bundleKey()] };
    roots.replace([roots.parse(NAME, "spiffe", { trust_domain: "acme.test", bundle })]);
    expect(await outcome(svid, roots)).toBe("path");
    expect(await outcome(next.issue(), roots)).toBe("vouched");
  });

  test("counts until it expires and no longer, however often it counted before", () => {
    const known = createKnownCertificates();
    const until = clock.now() + 60_000;
    const { chain } = acme.intermediate().issue({ until });
    const anchors = authoritiesOf(acme.der);
    const at = (now: number): string =>
      reasonOf(() => {
        const { leaf, others } = known.decode(parsePresentedChain(chain), anchors);
        const rules = { anchors, now: instantMs(now), skewSeconds: 60, purpose: "client" } as const;
        findPath(leaf, others, rules);
      });
    expect([at(until - 1000), at(until - 1000), at(until + 1000), at(until - 1000)]).toEqual([
      "none",
      "none",
      "time",
      "none",
    ]);
  });

  test("is of no other trust domain for having been signed by one", () => {
    const known = createKnownCertificates();
    const names = [{ uniformResourceIdentifier: "spiffe://other.test/workload" }];
    const svid = acme.issue({ names });
    decode(svid, known);
    const anchors = authoritiesOf(other.der);
    const { leaf, others } = decode(svid, known, anchors);
    const rules = { anchors, now: clock.now(), skewSeconds: 60, purpose: "client" } as const;
    expect(reasonOf(() => findPath(leaf, others, rules))).toBe("path");
  });
});

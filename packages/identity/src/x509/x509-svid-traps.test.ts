import { KeyUsageFlags, id_ce_keyUsage } from "@peculiar/asn1-x509";
import { describe, expect, test } from "vitest";
import { createTestX509Authority, testKeyPair } from "@mayfly/testkit";
import { Refusal } from "../refusal.ts";
import { parseCertificate } from "./certificate.ts";
import { findPath } from "./find-path.ts";
import {
  NAME,
  WORKLOAD,
  acme,
  clock,
  outcome,
  presentedOutcome,
  uri,
  verify,
} from "./testing/x509-bench.ts";

const MINUTE_MS = 60_000;

function reasonOf(work: () => unknown): string {
  try {
    work();
    return "none";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.reason;
  }
}

test("the X509-SVID that the traps below each change in one way is vouched for", async () => {
  const svid = acme.issue();
  const identity = await verify(svid.presented);
  expect(identity.workload).toEqual({
    trustRoot: NAME,
    kind: "spiffe",
    issuer: "spiffe://acme.test",
    subject: WORKLOAD,
    attributes: {},
  });
  expect(identity.expiresAt - clock.now()).toBe(5 * MINUTE_MS);
  expect(identity.oneTime).toBeNull();
  expect(identity.tokenSha256).toMatch(/^[0-9a-f]{64}$/);
});

describe("the SPIFFE ID of a certificate", () => {
  const named = (...names: readonly Record<string, string>[]): Promise<string> =>
    outcome(acme.issue({ names }));

  test("is its one URI: names of other types beside it say nothing", async () => {
    expect(await named({ dNSName: "db.test" }, uri(WORKLOAD), { rfc822Name: "a@b.test" })).toBe(
      "vouched",
    );
  });

  test("is nothing where there are two URIs, whichever comes first", async () => {
    const second = "spiffe://other.test/workload";
    expect(await named(uri(WORKLOAD), uri(second))).toBe("unknown_issuer");
    expect(await named(uri(second), uri(WORKLOAD))).toBe("unknown_issuer");
    expect(await named(uri(WORKLOAD), uri("https://acme.test/"))).toBe("unknown_issuer");
    expect(await named(uri(WORKLOAD), uri(WORKLOAD))).toBe("unknown_issuer");
  });

  test("is never read from text: a URI inside of a DNS name is a part of that name", async () => {
    const injected = `db.test, URI:${WORKLOAD}`;
    expect(await named({ dNSName: injected })).toBe("unknown_issuer");
    const elsewhere = "spiffe://acme.test/somebody";
    expect(
      (await verify(acme.issue({ names: [{ dNSName: injected }, uri(elsewhere)] }).presented))
        .workload.subject,
    ).toBe(elsewhere);
  });

  test("is absent without alternative names, whatever the subject says", async () => {
    expect(await outcome(acme.issue({ names: null, subject: WORKLOAD }))).toBe("unknown_issuer");
    expect(await named({ dNSName: "acme.test" })).toBe("unknown_issuer");
  });

  test.each([
    "https://acme.test/workload",
    "SPIFFE://acme.test/workload",
    "spiffe://ACME.test/workload",
    "spiffe://acme.test/workload/",
    "spiffe://acme.test//workload",
    "spiffe://acme.test/a/../workload",
    "spiffe://acme.test/workload?x",
    "spiffe://acme.test/workload#x",
    "spiffe://acme.test:443/workload",
    "spiffe://user@acme.test/workload",
    "spiffe://acme.test/w%6frkload",
    "spiffe://acme.test/workload\0.evil",
  ])("is a SPIFFE ID as it is written: %j is none", async (text) => {
    expect(await named(uri(text))).toBe("unknown_issuer");
  });

  test("with a root path names the domain's authority and no workload", async () => {
    expect(await named(uri("spiffe://acme.test"))).toBe("subject");
  });
});

describe("the leaf", () => {
  test("is no authority's", async () => {
    expect(await outcome(acme.issue({ isAuthority: true }))).toBe("certificate");
  });

  test("may lack basic constraints, which makes it no authority's", async () => {
    expect(await outcome(acme.issue({ isAuthority: null }))).toBe("vouched");
  });

  test.each([
    ["keyCertSign", KeyUsageFlags.keyCertSign],
    ["cRLSign", KeyUsageFlags.cRLSign],
  ])("may not be allowed to sign others: %s", async (_name, flag) => {
    const keyUsage = KeyUsageFlags.digitalSignature | flag;
    expect(await outcome(acme.issue({ keyUsage }))).toBe("certificate");
  });

  test("needs digitalSignature", async () => {
    const keyUsage = KeyUsageFlags.keyEncipherment | KeyUsageFlags.keyAgreement;
    expect(await outcome(acme.issue({ keyUsage }))).toBe("certificate");
  });

  test("says its key usage in the bits that it needs, and in no more", async () => {
    const spelled = (...bits: readonly number[]): Promise<string> => {
      const value = Uint8Array.from([0x03, bits.length, ...bits]);
      const extensions = [{ id: id_ce_keyUsage, critical: true, value }];
      return outcome(acme.issue({ keyUsage: null, extensions }));
    };
    expect(await spelled(7, 0x80)).toBe("vouched");
    expect(await spelled(5, 0xa0)).toBe("vouched");
    for (const bits of [[0, 0x80], [6, 0x80], [0, 0x80, 0], [7, 0x80, 0], [7, 0xff], [0]]) {
      expect(await spelled(...bits), bits.join(" ")).not.toBe("vouched");
    }
  });

  test("needs a key usage", async () => {
    expect(await outcome(acme.issue({ keyUsage: null }))).toBe("certificate");
  });

  test("with an extended key usage needs clientAuth in it", async () => {
    const serverAuth = "1.3.6.1.5.5.7.3.1";
    expect(await outcome(acme.issue({ extendedKeyUsage: [serverAuth] }))).toBe("certificate");
    expect(await outcome(acme.issue({ extendedKeyUsage: ["2.5.29.37.0"] }))).toBe("certificate");
    expect(await outcome(acme.issue({ extendedKeyUsage: null }))).toBe("vouched");
  });

  test("with an empty subject needs critical alternative names", async () => {
    expect(await outcome(acme.issue({ subject: null, namesCritical: true }))).toBe("vouched");
    expect(await outcome(acme.issue({ subject: null, namesCritical: false }))).toBe("certificate");
  });

  test("may have no critical extension that is not understood here", async () => {
    const unknown = { id: "1.3.6.1.4.1.55555.1", value: Buffer.from([5, 0]) };
    expect(await outcome(acme.issue({ extensions: [{ ...unknown, critical: false }] }))).toBe(
      "vouched",
    );
    expect(await outcome(acme.issue({ extensions: [{ ...unknown, critical: true }] }))).toBe(
      "certificate",
    );
  });

  test("may have no extension twice: two readers would see two certificates", async () => {
    const second = { id: id_ce_keyUsage, critical: true, value: Buffer.from("03020780", "hex") };
    const svid = acme.issue({ extensions: [second] });
    expect(reasonOf(() => parseCertificate(svid.chain[0] ?? new Uint8Array()))).toBe("malformed");
    // OpenSSL holds it for nobody's.
    expect(await outcome(svid)).toBe("path");
  });

  test("may have no extension in another encoding than DER", async () => {
    // A key usage whose length takes two bytes where one would do.
    const loose = { id: id_ce_keyUsage, critical: true, value: Buffer.from("0381020780", "hex") };
    const strict = { ...loose, value: Buffer.from("03020780", "hex") };
    expect(await outcome(acme.issue({ keyUsage: null, extensions: [strict] }))).toBe("vouched");
    expect(await outcome(acme.issue({ keyUsage: null, extensions: [loose] }))).toBe("malformed");
  });

  test("may have no key usage of more bits than have names", async () => {
    const usage = (value: string): object => ({
      keyUsage: null,
      extensions: [{ id: id_ce_keyUsage, critical: true, value: Buffer.from(value, "hex") }],
    });
    expect(await outcome(acme.issue(usage("0303078080")))).toBe("vouched");
    // Its only bit is the 33rd, which the schema's reader takes for the first, digitalSignature.
    const { chain } = acme.issue(usage("0306070000000080"));
    expect(() => chain.map(parseCertificate)).toThrow(
      "the key usage of a certificate is not in DER",
    );
  });

  test("that has expired counts no second longer", async () => {
    const until = Math.floor(clock.now() / 1000) * 1000;
    expect(await outcome(acme.issue({ until: until + 1000 }))).toBe("vouched");
    expect(await outcome(acme.issue({ until: until - 1000 }))).toBe("time");
  });

  test("counts from its beginning on, give or take the clocks' difference", async () => {
    expect(await outcome(acme.issue({ from: clock.now() + 59_000 }))).toBe("vouched");
    expect(await outcome(acme.issue({ from: clock.now() + 62_000 }))).toBe("time");
  });

  test("is signed with no algorithm that is forged, and has no weak key", async () => {
    expect(await outcome(acme.issue({ digest: "sha1" }))).toBe("algorithm");
    expect(await outcome(acme.issue({}, testKeyPair("rsa1024")))).toBe("algorithm");
    expect(await outcome(acme.issue({}, testKeyPair("secp256k1")))).toBe("algorithm");
  });

  test("that was tampered with is refused", async () => {
    const [leaf = new Uint8Array()] = acme.issue().chain;
    const tampered = Buffer.from(leaf);
    const at = tampered.indexOf(WORKLOAD);
    tampered.write("spiffe://acme.test/workloaf", at, "latin1");
    expect(await presentedOutcome({ kind: "x509", chain: [tampered] })).toBe("signature");
  });
});

describe("before anything is verified", () => {
  test("a chain is bounded, in certificates and in bytes", async () => {
    const { chain } = acme.issue();
    const many = Array.from({ length: 9 }, () => chain[0] ?? new Uint8Array());
    expect(await presentedOutcome({ kind: "x509", chain: many })).toBe("too_large");
    const huge = Buffer.alloc(16 * 1024 + 1, 0x30);
    expect(await presentedOutcome({ kind: "x509", chain: [huge] })).toBe("too_large");
  });

  test("what follows a certificate makes it none", async () => {
    const [leaf = new Uint8Array()] = acme.issue().chain;
    const longer = Buffer.concat([leaf, Buffer.from([0])]);
    expect(await presentedOutcome({ kind: "x509", chain: [longer] })).toBe("malformed");
  });

  test("a certificate as PEM is none", async () => {
    const chain = [Buffer.from(acme.issue().pem.cert)];
    expect(await presentedOutcome({ kind: "x509", chain })).toBe("malformed");
  });

  test("a chain that could be searched for ever is given up", () => {
    // Each of them could have issued each other: every order of them would be a path.
    const keys = testKeyPair();
    const change = { subject: "one of many" };
    const many = Array.from({ length: 7 }, () => createTestX509Authority({ clock, keys, change }));
    const [leaf = new Uint8Array()] = many[0]?.issue().chain ?? [];
    const others = many.map(({ der }) => parseCertificate(der));
    const rules = { anchors: [], now: clock.now(), skewSeconds: 60, purpose: "client" } as const;
    const search = () => findPath(parseCertificate(leaf), others, rules);
    expect(reasonOf(search)).toBe("too_large");
  });
});

import { KeyUsageFlags, id_kp_serverAuth, anyExtendedKeyUsage } from "@peculiar/asn1-x509";
import { describe, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  type CallContext,
  type TrustRoots,
  type VerifiedIdentity,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestX509Authority,
  testKeyPair,
  type TestX509Authority,
  type TestX509Svid,
} from "@mayfly/testkit";
import { Refusal } from "../refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "../trust-roots.ts";

const NAME = parseTrustRootName("internal-ca", "name");
const SPIFFE = parseTrustRootName("acme.test", "name");
const clock = createFakeClock();
const authority = createTestX509Authority({ clock, change: { names: null } });
const other = createTestX509Authority({ clock, change: { names: null } });
const DNS = { dNSName: "batch.pay.acme.test" };
const BATCH = { client: "batch", tls_client_auth_san_dns: DNS.dNSName };

type Client = Readonly<Record<string, string>>;
function rootsOf(
  clients: readonly Client[] = [BATCH],
  authorities: readonly TestX509Authority[] = [authority],
): TrustRoots {
  const roots = createTrustRoots({
    http: createFakeOutboundHttp(),
    issuer: "https://broker.test",
    settings: defaultTrustRootsSettings,
    log: createRecordingLog(),
  });
  const pem = authorities.map((each) => each.pem).join("");
  roots.replace([
    roots.parse(NAME, "x509", { authorities: pem, clients }),
    roots.parse(SPIFFE, "spiffe", {
      trust_domain: "acme.test",
      bundle: { keys: [spiffe.bundleKey()] },
    }),
  ]);
  return roots;
}
const spiffe = createTestX509Authority({ clock });

const context = (): CallContext => ({
  clock,
  signal: new AbortController().signal,
  traceId: "trace",
});
const as = (
  { chain }: Pick<TestX509Svid, "chain">,
  clientId = "x509:internal-ca#batch",
  roots = rootsOf(),
): Promise<VerifiedIdentity> =>
  roots.verifyClient({ type: "tls-client", chain, clientId }, context());
async function outcome(verified: Promise<VerifiedIdentity>): Promise<string> {
  try {
    return (await verified).workload.subject;
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}
const issued = (change: Parameters<TestX509Authority["issue"]>[0] = {}, by = authority) =>
  by.issue({ names: [DNS], ...change });

test("a client's certificate, that each case below changes in one way, is its client's", async () => {
  const identity = await as(issued());
  expect(identity.workload).toEqual({
    trustRoot: NAME,
    kind: "x509",
    issuer: "x509:internal-ca",
    subject: "batch",
    attributes: {},
  });
  expect(identity).toMatchObject({ oneTime: null, mayInitiate: false, mayAdminister: false });
  expect(identity.expiresAt - clock.now()).toBe(300_000);
});

describe("by each of its names", () => {
  test.each<[string, Client, NonNullable<Parameters<TestX509Authority["issue"]>[0]>]>([
    [
      "its DNS name",
      { tls_client_auth_san_dns: "a.acme.test" },
      { names: [{ dNSName: "A.acme.test" }] },
    ],
    [
      "its URI",
      { tls_client_auth_san_uri: "https://acme.test/batch" },
      { names: [{ uniformResourceIdentifier: "https://acme.test/batch" }] },
    ],
    [
      "its IPv4 address",
      { tls_client_auth_san_ip: "10.0.0.7" },
      { names: [{ iPAddress: "10.0.0.7" }] },
    ],
    [
      "its IPv6 address, however it is written",
      { tls_client_auth_san_ip: "fd00:0:0::7" },
      { names: [{ iPAddress: "fd00::7" }] },
    ],
    [
      "its mail address",
      { tls_client_auth_san_email: "batch@acme.test" },
      { names: [{ rfc822Name: "batch@acme.test" }] },
    ],
    ["its subject", { tls_client_auth_subject_dn: "CN=batch" }, { subject: "batch", names: null }],
    [
      "its subject, with what has to be escaped",
      { tls_client_auth_subject_dn: "CN=batch\\, pay" },
      { subject: "batch, pay", names: null },
    ],
  ])("a client is known by %s, and by no other", async (_what, subject, change) => {
    const roots = rootsOf([{ client: "batch", ...subject }]);
    const id = "x509:internal-ca#batch";
    expect(await outcome(as(issued(change), id, roots))).toBe("batch");
    const else_ = { subject: "other", names: [{ dNSName: "other.acme.test" }] };
    expect(await outcome(as(issued(else_), id, roots))).toBe("subject");
  });
});

describe("nobody is a client", () => {
  test.each<[string, NonNullable<Parameters<TestX509Authority["issue"]>[0]>, string]>([
    ["by a name below its own", { names: [{ dNSName: "x.batch.pay.acme.test" }] }, "subject"],
    ["by a star", { names: [{ dNSName: "*.pay.acme.test" }] }, "subject"],
    ["by one of two names", { names: [DNS, { dNSName: "b.acme.test" }] }, "subject"],
    ["by its name twice", { names: [DNS, DNS] }, "subject"],
    ["by a text that holds it", { names: [{ dNSName: `a.test, DNS:${DNS.dNSName}` }] }, "subject"],
    ["by its name in the subject", { subject: DNS.dNSName, names: null }, "subject"],
    [
      "by its name as a URI",
      { names: [{ uniformResourceIdentifier: `https://${DNS.dNSName}` }] },
      "subject",
    ],
    [
      "with a SPIFFE ID besides",
      { names: [DNS, { uniformResourceIdentifier: "spiffe://acme.test/workload" }] },
      "subject",
    ],
    [
      "with a SPIFFE ID in capitals besides",
      { names: [DNS, { uniformResourceIdentifier: "SPIFFE://acme.test/workload" }] },
      "subject",
    ],
    ["as an authority", { isAuthority: true }, "certificate"],
    ["as one that may sign", { keyUsage: KeyUsageFlags.keyCertSign }, "certificate"],
    ["as one that may not sign anything", { keyUsage: KeyUsageFlags.keyAgreement }, "certificate"],
    ["without a purpose", { extendedKeyUsage: null }, "certificate"],
    ["as a server", { extendedKeyUsage: [id_kp_serverAuth] }, "certificate"],
    ["for any purpose", { extendedKeyUsage: [anyExtendedKeyUsage] }, "certificate"],
    ["once it has expired", { until: clock.now() - 1 }, "time"],
    ["before it is valid", { from: clock.now() + 120_000 }, "time"],
    ["by SHA-1", { digest: "sha1" }, "algorithm"],
  ])("%s", async (_what, change, reason) => {
    expect(await outcome(as(issued(change)))).toBe(reason);
  });

  test("by another authority, of the same name or not", async () => {
    expect(await outcome(as(issued({}, other)))).toBe("path");
    expect(await outcome(as(issued({}, spiffe)))).toBe("path");
  });

  test("by an authority that stands above, unless it is registered", async () => {
    const below = authority.intermediate({ names: null });
    expect(await outcome(as(issued({}, below)))).toBe("batch");
    const roots = rootsOf([BATCH], [below]);
    expect(await outcome(as(issued({}, below), "x509:internal-ca#batch", roots))).toBe("batch");
    expect(await outcome(as(issued(), "x509:internal-ca#batch", roots))).toBe("path");
  });

  test.each([
    ["another client", "x509:internal-ca#other", "subject"],
    ["a client of another trust root", "x509:other-ca#batch", "unknown_issuer"],
    ["a trust root", "x509:internal-ca", "subject"],
    ["two", "x509:internal-ca#batch#batch", "subject"],
    ["a member of every object", "x509:internal-ca#constructor", "subject"],
  ])("who names %s", async (_what, clientId, reason) => {
    expect(await outcome(as(issued(), clientId))).toBe(reason);
  });

  test("whose authority may not name it", async () => {
    const { GeneralName, GeneralSubtree, GeneralSubtrees, NameConstraints } =
      await import("@peculiar/asn1-x509");
    const base = (name: Readonly<Record<string, string>>) =>
      new GeneralSubtrees([new GeneralSubtree({ base: new GeneralName(name) })]);
    const bounded = (dNSName: string) =>
      createTestX509Authority({
        clock,
        change: {
          names: null,
          nameConstraints: new NameConstraints({ permittedSubtrees: base({ dNSName }) }),
        },
      });
    for (const [domain, result] of [
      ["pay.acme.test", "batch"],
      ["other.acme.test", "path"],
    ] as const) {
      const by = bounded(domain);
      const roots = rootsOf([BATCH], [by]);
      const id = "x509:internal-ca#batch";
      expect([domain, await outcome(as(issued({}, by), id, roots))]).toEqual([domain, result]);
    }
  });
});

describe("a trust domain and an authority's clients are never one", () => {
  test("an SVID is no client's, and a client's certificate no SVID", async () => {
    const roots = rootsOf([BATCH], [authority, spiffe]);
    const svid = spiffe.issue();
    expect(await outcome(as(svid, "x509:internal-ca#batch", roots))).toBe("subject");
    const both = spiffe.issue({
      names: [DNS, { uniformResourceIdentifier: "spiffe://acme.test/workload" }],
    });
    expect(await outcome(as(both, "x509:internal-ca#batch", roots))).toBe("subject");
    const { chain } = issued();
    const byId = { type: "spiffe-x509", chain, clientId: "x509:internal-ca#batch" } as const;
    expect(await outcome(roots.verifyClient(byId, context()))).toBe("unknown_issuer");
  });

  test("a certificate alone, without a client's name, is nobody's", async () => {
    const { chain } = issued();
    expect(await outcome(rootsOf().verify({ kind: "x509", chain }, context()))).toBe(
      "unknown_issuer",
    );
  });

  test("an authority's certificate with a SPIFFE ID counts at the trust domain alone", async () => {
    const forged = authority.issue({
      names: [{ uniformResourceIdentifier: "spiffe://acme.test/workload" }],
    });
    expect(await outcome(rootsOf().verify(forged.presented, context()))).toBe("path");
  });
});

describe("the configuration of an authority's clients", () => {
  const authorityOf = (change: Parameters<TestX509Authority["issue"]>[0], keys = testKeyPair()) =>
    createTestX509Authority({ clock, keys, change: { names: null, ...change } });
  const weak = authorityOf({}, testKeyPair("rsa1024"));
  const mute = authorityOf({ keyUsage: KeyUsageFlags.cRLSign });
  const ofServers = authorityOf({ extendedKeyUsage: [id_kp_serverAuth] });
  const roots = rootsOf();
  const parsed = (config: Readonly<Record<string, unknown>>): string => {
    try {
      roots.parse(NAME, "x509", { authorities: authority.pem, clients: [BATCH], ...config });
      return "parsed";
    } catch (error) {
      if (!BrokerError.is(error)) throw error;
      return error.message;
    }
  };
  test("is parsed as it stands", () => {
    expect(parsed({})).toBe("parsed");
  });
  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ["no subject", { clients: [{ client: "a" }] }, "exactly one of"],
    [
      "two subjects",
      { clients: [{ ...BATCH, tls_client_auth_san_ip: "10.0.0.7" }] },
      "exactly one of",
    ],
    ["no client", { clients: [] }, "clients"],
    ["one client twice", { clients: [BATCH, BATCH] }, "another client has this name"],
    [
      "two clients of one subject",
      { clients: [BATCH, { ...BATCH, client: "b" }] },
      "one certificate would be two clients'",
    ],
    [
      "a star",
      { clients: [{ client: "a", tls_client_auth_san_dns: "*.acme.test" }] },
      "without a star",
    ],
    [
      "a SPIFFE ID",
      { clients: [{ client: "a", tls_client_auth_san_uri: "spiffe://acme.test/a" }] },
      "SPIFFE ID",
    ],
    ["a zone", { clients: [{ client: "a", tls_client_auth_san_ip: "fe80::1%eth0" }] }, "address"],
    [
      "one subject in two spellings",
      {
        clients: [
          { client: "a", tls_client_auth_subject_dn: "CN=a+OU=b" },
          { client: "b", tls_client_auth_subject_dn: "ou=b+2.5.4.3=\\61" },
        ],
      },
      "one certificate would be two clients'",
    ],
    [
      "a subject with an empty part",
      { clients: [{ client: "a", tls_client_auth_subject_dn: "CN=a,,O=b" }] },
      "RFC 4514",
    ],
    ["no authority", { authorities: "" }, "in PEM"],
    [
      "an authority of nothing but spaces, however many",
      { authorities: `-----BEGIN CERTIFICATE-----${" ".repeat(60_000)}` },
      "in PEM",
    ],
    ["something besides", { authorities: `${authority.pem}junk` }, "nothing besides"],
    ["a leaf as its authority", { authorities: issued().pem.cert }, "no authority's"],
    ["an authority whose key is weak", { authorities: weak.pem }, "key of a certificate"],
    ["an authority that may not sign", { authorities: mute.pem }, "may not certify clients"],
    ["an authority of servers alone", { authorities: ofServers.pem }, "may not certify clients"],
    ["what SPIFFE has", { trust_domain: "acme.test" }, "trust_domain"],
    ["administrators", { administrators: true }, "administrators"],
    ["initiators", { initiators: true }, "initiators"],
  ])("is refused with %s", (_what, config, message) => {
    expect(parsed(config)).toContain(message);
  });

  test("is described, and looked at, without a fetch", async () => {
    const config = { authorities: authority.pem, clients: [BATCH] };
    expect(roots.describe(NAME, "x509", config)).toMatchObject({
      issuer: "x509:internal-ca",
      requirements: ["the certificate of batch has tls_client_auth_san_dns batch.pay.acme.test"],
    });
    const look = await roots.look(roots.parse(NAME, "x509", config), context());
    expect(look).toMatchObject({ fetched: false, problem: null });
    const old = createTestX509Authority({
      clock,
      change: { names: null, from: clock.now() - 20_000, until: clock.now() - 10_000 },
    });
    const expired = roots.parse(NAME, "x509", { ...config, authorities: old.pem });
    expect((await roots.look(expired, context())).problem).toContain("valid now");
  });
});

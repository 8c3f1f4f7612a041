import { Secret, parseTrustRootName, type PresentedIdentity, type TrustRoot } from "@mayfly/spec";
import { createOutboundHttp } from "@mayfly/net";
import {
  createFakeClock,
  createRecordingLog,
  createTestSigningKey,
  createTestX509Authority,
  startTestOidcIssuer,
  startTestTrustDomain,
  type FakeClock,
  type TestTokenChange,
  type TestX509Authority,
} from "@mayfly/testkit";
import {
  describeIdentityContract,
  type IdentityFlaw,
  type IdentityUnderTest,
} from "@mayfly/testkit/contract";
import { createOidcVerifier } from "./oidc-verifier.ts";
import { parseOidcConfig } from "./oidc-config.ts";
import { createSpiffeVerifier } from "./spiffe-verifier.ts";
import { parseSpiffeConfig } from "./spiffe-config.ts";
import { createOwnSvid } from "./own-svid.ts";
import { createSeenSequences } from "./seen-sequences.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";
import { createVerifiedTokens } from "./verified-tokens.ts";
import { createKnownCertificates } from "./x509/known-certificates.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("acme.test", "name");

/** Both kinds against real servers on loopback, through the real outbound HTTP. */
describeIdentityContract({
  name: "OIDC, real issuer",
  start: async () => {
    const clock = createFakeClock();
    const http = createOutboundHttp();
    const issuer = await startTestOidcIssuer({ clock, audience: BROKER });
    const foreign = await startTestOidcIssuer({ clock, audience: BROKER });
    const parts = partsWith(http);
    const trustRoots = createTrustRoots({
      ...parts,
      issuer: BROKER,
      settings: defaultTrustRootsSettings,
    });
    const root = trustRoots.parse(NAME, "oidc", {
      issuer: issuer.issuer,
      unsafe_allow_private_addresses: true,
    });
    return {
      ...under(clock, issuer, { trustRoots, root }, () => foreign.present()),
      verifier: createOidcVerifier(NAME, parseOidcConfig(NAME, BROKER, root.config), parts),
      subject: "workload",
      fetches: () => issuer.fetches.jwks + issuer.fetches.discovery + foreign.fetches.discovery,
      close: async () => {
        await http.close();
        await Promise.all([issuer.close(), foreign.close()]);
      },
    };
  },
});

describeIdentityContract({
  name: "SPIFFE JWT-SVID, real bundle endpoint",
  start: async () => {
    const clock = createFakeClock();
    const http = createOutboundHttp();
    const domain = await startTestTrustDomain({ clock, audience: BROKER });
    const foreign = await startTestTrustDomain({
      clock,
      audience: BROKER,
      trustDomain: "other.test",
    });
    const parts = partsWith(http);
    const trustRoots = createTrustRoots({
      ...parts,
      issuer: BROKER,
      settings: defaultTrustRootsSettings,
    });
    const root = trustRoots.parse(NAME, "spiffe", {
      trust_domain: domain.trustDomain,
      bundle_endpoint: { url: domain.bundleUrl, profile: "https_web" },
      unsafe_allow_private_addresses: true,
    });
    return {
      ...under(clock, domain, { trustRoots, root }, () => foreign.present()),
      verifier: createSpiffeVerifier(NAME, parseSpiffeConfig(NAME, root.config), parts),
      subject: "spiffe://acme.test/workload",
      fetches: () => domain.fetches() + foreign.fetches(),
      close: async () => {
        await http.close();
        await Promise.all([domain.close(), foreign.close()]);
      },
    };
  },
});

describeIdentityContract({
  name: "SPIFFE X509-SVID, real bundle endpoint",
  // A certificate is addressed to nobody.
  flaws: ["expired", "not_valid_yet", "other_key", "tampered"],
  start: async () => {
    const clock = createFakeClock();
    const http = createOutboundHttp();
    const domain = await startTestTrustDomain({ clock, audience: BROKER });
    const authority = createTestX509Authority({ clock });
    domain.publish([authority.bundleKey()]);
    const foreign = createTestX509Authority({ clock, trustDomain: "other.test" });
    const parts = partsWith(http);
    const trustRoots = createTrustRoots({
      ...parts,
      issuer: BROKER,
      settings: defaultTrustRootsSettings,
    });
    const root = trustRoots.parse(NAME, "spiffe", {
      trust_domain: domain.trustDomain,
      bundle_endpoint: { url: domain.bundleUrl, profile: "https_web" },
      unsafe_allow_private_addresses: true,
    });
    return {
      clock,
      trustRoots,
      root,
      verifier: createSpiffeVerifier(NAME, parseSpiffeConfig(NAME, root.config), parts),
      subject: "spiffe://acme.test/workload",
      present: (flaw) => presentX509(authority, clock, flaw),
      presentForeign: () => foreign.issue().presented,
      fetches: () => domain.fetches(),
      close: async () => {
        await http.close();
        await domain.close();
      },
    };
  },
});

/** Times of a certificate are whole seconds. */
function presentX509(
  authority: TestX509Authority,
  clock: FakeClock,
  flaw: IdentityFlaw | undefined,
): PresentedIdentity {
  switch (flaw) {
    case undefined:
    case "other_audience":
      return authority.issue().presented;
    case "expired":
      return authority.issue({ until: clock.now() - 120_000 }).presented;
    case "not_valid_yet":
      return authority.issue({ from: clock.now() + 120_000 }).presented;
    case "other_key":
      return createTestX509Authority({ clock }).issue().presented;
    case "tampered": {
      const [leaf = new Uint8Array()] = authority.issue().chain;
      const bytes = Buffer.from(leaf);
      bytes.write("workloaf", bytes.lastIndexOf("workload"), "latin1");
      return { kind: "x509", chain: [bytes] };
    }
  }
}

function partsWith(http: ReturnType<typeof createOutboundHttp>) {
  return {
    http,
    authoritiesOf: () => null,
    workloadApi: null,
    sequences: createSeenSequences(),
    ownSvid: createOwnSvid(null),
    audience: BROKER,
    skewSeconds: 60,
    known: createKnownCertificates(),
    verified: createVerifiedTokens(100),
    log: createRecordingLog(),
  };
}

interface Signer {
  readonly key: { readonly kid: string };
  token(change?: TestTokenChange): string;
}

function under(
  clock: FakeClock,
  signer: Signer,
  roots: { trustRoots: IdentityUnderTest["trustRoots"]; root: TrustRoot },
  presentForeign: () => PresentedIdentity,
): Omit<IdentityUnderTest, "verifier" | "subject" | "fetches" | "close"> {
  const now = Math.floor(clock.now() / 1000);
  const spoil = (flaw: IdentityFlaw): string => {
    switch (flaw) {
      case "expired":
        return signer.token({ claims: { iat: now - 600, exp: now - 120 } });
      case "not_valid_yet":
        return signer.token({ claims: { nbf: now + 120 } });
      case "other_audience":
        return signer.token({ claims: { aud: "https://other.test" } });
      case "other_key":
        return signer.token({ key: createTestSigningKey(signer.key.kid) });
      case "tampered": {
        const [header, , signature] = signer.token().split(".");
        const [, payload] = signer.token({ claims: { extra: 1 } }).split(".");
        return `${header}.${payload}.${signature}`;
      }
    }
  };
  return {
    clock,
    ...roots,
    present: (flaw) => ({
      kind: "jwt",
      token: Secret.of(flaw === undefined ? signer.token() : spoil(flaw)),
    }),
    presentForeign,
  };
}

import { id_kp_clientAuth, KeyUsageFlags } from "@peculiar/asn1-x509";
import {
  instantMs,
  x509IssuerOf,
  type DurationSeconds,
  type InstantMs,
  type TrustRootName,
  type VerifiedIdentity,
} from "@mayfly/spec";
import { Refusal } from "../refusal.ts";
import type { ProofVerifier } from "../root-verifier.ts";
import type { Certificate } from "./certificate.ts";
import { isSpiffe, isSubjectOf, type ClientSubject } from "./client-subject.ts";
import { findPath, type CertificationPath } from "./find-path.ts";
import type { KnownCertificates } from "./known-certificates.ts";
import type { PresentedChain } from "./presented-chain.ts";

/** What distinguishes one authority's clients from another's. */
interface TlsClientTrust {
  readonly name: TrustRootName;
  /** Of this trust root, and of no other. */
  readonly authorities: readonly Certificate[];
  readonly clients: ReadonlyMap<string, ClientSubject>;
  readonly known: KnownCertificates;
  readonly skewSeconds: number;
  readonly identityMaxAgeSeconds: DurationSeconds;
  readonly mustProvePossession: boolean;
}

/**
 * Clients that authenticate themselves by mTLS with a certificate of a registered authority (RFC
 * 8705 section 2.1). The request names the client, as `<issuer>#<client>`; what it shows has to say
 * what was registered of that one, and a path has to lead from it to an authority of its own trust
 * root. That the caller holds the leaf's key was shown to whoever took the chain from the
 * connection.
 */
export function createTlsClientProof(trust: TlsClientTrust): ProofVerifier {
  return {
    routes: (presented) => presented.kind === "x509_client" && presented.trustRoot === trust.name,
    verify: async (presented, { clock }, stillTrusted) => {
      if (presented.kind !== "x509_client") throw new Refusal("unsupported_kind", "not a client");
      const { chain, client } = presented;
      const path = judge(chain, client, trust, clock.now());
      stillTrusted();
      return vouch(trust, client, path, chain.leaf.sha256, clock.now());
    },
  };
}

function judge(
  chain: PresentedChain,
  client: string,
  { authorities: anchors, clients, known, skewSeconds }: TlsClientTrust,
  now: InstantMs,
): CertificationPath {
  const subject = clients.get(client);
  if (subject === undefined) throw new Refusal("subject", "there is no client of that name");
  const { leaf, others } = known.decode(chain, anchors);
  checkClientLeaf(leaf);
  if (!isSubjectOf(subject, leaf)) {
    throw new Refusal("subject", "the certificate does not say what the client's has to say");
  }
  return findPath(leaf, others, { anchors, now, skewSeconds, purpose: "client" });
}

const SIGNING = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;

/** The leaf is a client's, says so, and is no authority's and no workload's of a trust domain. */
function checkClientLeaf(leaf: Certificate): void {
  const { keyUsage, extendedKeyUsage, hasSubject, alternativeNames } = leaf;
  if (leaf.isAuthority) throw refused("is an authority's");
  if (keyUsage !== null && (keyUsage & SIGNING) !== 0) {
    throw refused("may sign certificates or revocation lists");
  }
  if (keyUsage !== null && (keyUsage & KeyUsageFlags.digitalSignature) === 0) {
    throw refused("may not sign");
  }
  // Any purpose, or none that is named, is no word of its authority that it is a client's.
  if (extendedKeyUsage?.includes(id_kp_clientAuth) !== true) {
    throw refused("does not say that it is for clients");
  }
  const names = alternativeNames?.names ?? [];
  if (names.some(({ uniformResourceIdentifier: uri }) => uri !== undefined && isSpiffe(uri))) {
    throw new Refusal("subject", "the certificate names a SPIFFE ID");
  }
  // RFC 5280 section 4.2.1.6.
  if (!hasSubject && alternativeNames?.critical !== true) {
    throw refused("has an empty subject, and its alternative names are not critical");
  }
}

const refused = (why: string): Refusal => new Refusal("certificate", `the certificate ${why}`);

const vouch = (
  trust: TlsClientTrust,
  client: string,
  path: CertificationPath,
  leafSha256: string,
  now: InstantMs,
): VerifiedIdentity => ({
  workload: {
    trustRoot: trust.name,
    kind: "x509",
    issuer: x509IssuerOf(trust.name),
    subject: client,
    attributes: {},
  },
  expiresAt: instantMs(Math.min(...path.map(({ notAfter }) => notAfter))),
  identityMaxAgeSeconds: trust.identityMaxAgeSeconds,
  provenAt: now,
  tokenSha256: leafSha256,
  oneTime: null,
  confirmation: null,
  mayInitiate: false,
  mayAdminister: false,
  mustProvePossession: trust.mustProvePossession,
});

import {
  instantMs,
  type CallContext,
  type DurationSeconds,
  type InstantMs,
  type TrustRootName,
  type VerifiedIdentity,
  type SpiffeId,
} from "@mayfly/spec";
import type { KeySource } from "../key-source.ts";
import type { KeySet } from "../parse-jwk-set.ts";
import {
  checkRequiredClaims,
  readAttributes,
  readMemberships,
  type AttributeRule,
  type MembershipRule,
  type RequiredClaim,
} from "../read-attributes.ts";
import { Refusal, type RefusalReason } from "../refusal.ts";
import type { ProofVerifier } from "../root-verifier.ts";
import { checkLeaf } from "./check-leaf.ts";
import { findPath, type CertificationPath } from "./find-path.ts";
import type { KnownCertificates } from "./known-certificates.ts";
import type { PresentedChain } from "./presented-chain.ts";

/** What distinguishes one trust domain from another. */
export interface X509Trust {
  readonly name: TrustRootName;
  readonly trustDomain: string;
  /** Whether an id of the trust domain is one that counts. */
  readonly admits: (id: SpiffeId) => boolean;
  readonly keys: KeySource;
  readonly known: KnownCertificates;
  readonly skewSeconds: number;
  readonly attributes: readonly AttributeRule[];
  readonly memberships: readonly MembershipRule[];
  readonly requiredClaims: readonly RequiredClaim[];
  readonly identityMaxAgeSeconds: DurationSeconds;
  readonly mayInitiate: boolean;
  readonly mayAdminister: boolean;
  /** Whether what the workload gets must be bound to a key, its certificate's or another. */
  readonly mustProvePossession: boolean;
}

/**
 * X509-SVIDs of one trust domain (X509-SVID section 5): the leaf is a workload's, and a path leads
 * from it to an authority in the bundle as it is now. That the caller holds the leaf's key was
 * shown to whoever took the chain from the connection.
 *
 * A certificate has no claims but its id: a trust root that declares attributes or requires claims
 * of others than `sub` takes no X509-SVID.
 */
export function createX509Proof(trust: X509Trust): ProofVerifier {
  return {
    routes: (presented) =>
      presented.kind === "x509" && presented.chain.claimedTrustDomain === trust.trustDomain,
    verify: async (presented, context, stillTrusted) => {
      if (presented.kind !== "x509") throw new Refusal("unsupported_kind", "not a chain");
      const { chain } = presented;
      const judged = await judge(chain, trust, context);
      stillTrusted();
      return vouch(trust, judged, chain.leaf.sha256, context.clock.now());
    },
  };
}

interface Judged {
  readonly id: SpiffeId;
  readonly path: CertificationPath;
}

/** Of an authority that is not in the bundle yet, one of the same name may be. */
const MAY_BE_NEWER: ReadonlySet<RefusalReason> = new Set(["path", "signature"]);

/** With the authorities that are held, and once more with newer ones, where a look is due. */
async function judge(
  chain: PresentedChain,
  trust: X509Trust,
  context: CallContext,
): Promise<Judged> {
  const before = trust.keys.held();
  const keys = await trust.keys.current(context);
  try {
    return search(chain, keys, trust, context);
  } catch (error) {
    if (!(error instanceof Refusal) || !MAY_BE_NEWER.has(error.reason)) throw error;
    // Authorities that were fetched for this very chain are not fetched again for it.
    const newer = keys === before ? await trust.keys.lookAgain(keys, context) : null;
    if (newer === null) throw error;
    return search(chain, newer, trust, context);
  }
}

function search(
  chain: PresentedChain,
  { authorities: anchors }: KeySet,
  trust: X509Trust,
  { clock }: CallContext,
): Judged {
  const { leaf, others } = trust.known.decode(chain, anchors);
  const id = checkLeaf(leaf, "client");
  if (id.trustDomain !== trust.trustDomain) {
    throw new Refusal("subject", "the certificate is not of the trust domain");
  }
  if (!trust.admits(id)) {
    throw new Refusal("subject", "the certificate's id is not one that counts here");
  }
  const { skewSeconds } = trust;
  const rules = { anchors, now: clock.now(), skewSeconds, purpose: "client" } as const;
  return { id, path: findPath(leaf, others, rules) };
}

function vouch(
  trust: X509Trust,
  { id, path }: Judged,
  leafSha256: string,
  now: InstantMs,
): VerifiedIdentity {
  const claims = { sub: id.id };
  checkRequiredClaims(claims, trust.requiredClaims);
  return {
    workload: {
      trustRoot: trust.name,
      kind: "spiffe",
      issuer: `spiffe://${id.trustDomain}`,
      subject: id.id,
      attributes: {
        ...readAttributes(claims, trust.attributes),
        ...readMemberships(claims, trust.memberships),
      },
    },
    expiresAt: instantMs(Math.min(...path.map(({ notAfter }) => notAfter))),
    identityMaxAgeSeconds: trust.identityMaxAgeSeconds,
    provenAt: now,
    tokenSha256: leafSha256,
    oneTime: null,
    confirmation: null,
    mayInitiate: trust.mayInitiate,
    mayAdminister: trust.mayAdminister,
    mustProvePossession: trust.mustProvePossession,
  };
}

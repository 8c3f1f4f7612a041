import {
  type CallContext,
  type IdentityVerifier,
  type TrustRootName,
  type VerifiedIdentity,
} from "@mayfly/spec";
import { parsePresented, tryParse, type Presented } from "./presented.ts";
import type { KeySource } from "./key-source.ts";
import { invalidIdentity, Refusal } from "./refusal.ts";
import type { Certificate } from "./x509/certificate.ts";

/** A verifier that can be withdrawn: from then on it vouches for nothing, not even under way. */
export interface RootVerifier extends IdentityVerifier {
  /** A1, of what was taken apart already. */
  routes(presented: Presented): boolean;
  /** A2; throws a Refusal. */
  verifyParsed(presented: Presented, context: CallContext): Promise<VerifiedIdentity>;
  /** The authorities of this trust domain that are held, if the root is that domain's. */
  authoritiesOf(trustDomain: string): readonly Certificate[] | null;
  close(): void;
}

/** One kind of proof that a trust root takes. */
export interface ProofVerifier {
  routes(presented: Presented): boolean;
  /**
   * Throws a Refusal. `stillTrusted` throws once the root is withdrawn: it is asked after the last
   * wait, before anything is vouched for.
   */
  verify(
    presented: Presented,
    context: CallContext,
    stillTrusted: () => void,
  ): Promise<VerifiedIdentity>;
}

/** A trust root by the proofs that it takes, and the keys that they share. */
export function createRootVerifier(
  name: TrustRootName,
  proofs: readonly ProofVerifier[],
  keys: Pick<KeySource, "held" | "close">,
  ownTrustDomain: string | null = null,
): RootVerifier {
  let closed = false;
  const stillTrusted = (): void => {
    if (closed) throw new Refusal("withdrawn", "the trust root was removed");
  };
  const routes = (presented: Presented): boolean => proofs.some((proof) => proof.routes(presented));
  const verifyParsed: RootVerifier["verifyParsed"] = async (presented, context) => {
    const proof = proofs.find((each) => each.routes(presented));
    if (proof === undefined) {
      throw new Refusal("unsupported_kind", "the trust root takes no proof of this kind");
    }
    return proof.verify(presented, context, stillTrusted);
  };
  return {
    name,
    routes,
    claims: (presented) => {
      const parsed = tryParse(presented);
      return parsed !== null && routes(parsed);
    },
    verify: async (presented, context) => {
      try {
        return await verifyParsed(parsePresented(presented), context);
      } catch (error) {
        throw invalidIdentity(error);
      }
    },
    verifyParsed,
    authoritiesOf: (trustDomain) =>
      trustDomain === ownTrustDomain ? (keys.held()?.authorities ?? null) : null,
    close: () => {
      closed = true;
      keys.close();
    },
  };
}

import { Secret, type CallContext, type TokenReview, type TokenReviews } from "@mayfly/spec";
import { claimAt } from "./claim-path.ts";
import { parsePresented, type Presented } from "./presented.ts";
import { invalidIdentity, Refusal } from "./refusal.ts";
import type { RootVerifier } from "./root-verifier.ts";

export interface ReviewBy {
  readonly reviews: TokenReviews;
  readonly cluster: string;
  readonly audience: string;
}

/**
 * A verifier whose verdict the cluster's API server has to confirm, each time: a token verifies
 * until it expires, but its pod or service account may be gone. No answer is a refusal. Only a
 * token that verified is shown, so that strangers cause no calls.
 */
export function reviewedVerifier(verifier: RootVerifier, by: ReviewBy): RootVerifier {
  let closed = false;
  const verifyParsed: RootVerifier["verifyParsed"] = async (presented, context) => {
    const identity = await verifier.verifyParsed(presented, context);
    const review = await reviewOf(presented, by, context);
    checkReview(review, presented, identity.workload.subject, by.audience);
    if (closed) throw new Refusal("withdrawn", "the trust root was removed");
    return identity;
  };
  return {
    ...verifier,
    verifyParsed,
    verify: async (presented, context) => {
      try {
        return await verifyParsed(parsePresented(presented), context);
      } catch (error) {
        throw invalidIdentity(error);
      }
    },
    close: () => {
      closed = true;
      verifier.close();
    },
  };
}

async function reviewOf(
  presented: Presented,
  { reviews, cluster, audience }: ReviewBy,
  context: CallContext,
): Promise<TokenReview> {
  if (presented.kind !== "jwt") throw new Refusal("unsupported_kind", "not a JWT");
  try {
    return await reviews.review(cluster, Secret.of(presented.jwt.compact), audience, context);
  } catch (cause) {
    throw new Refusal("review_unavailable", "the cluster's API server gave no answer", { cause });
  }
}

function checkReview(
  review: TokenReview,
  presented: Presented,
  subject: string,
  audience: string,
): void {
  if (!review.authenticated) throw new Refusal("review", "the cluster does not know the token");
  if (!review.audiences.includes(audience)) {
    throw new Refusal("review", "the cluster does not know the token for this audience");
  }
  if (review.username !== subject) throw new Refusal("review", "the cluster names another subject");
  const uid =
    presented.kind === "jwt"
      ? claimAt(presented.jwt.claims, ["kubernetes.io", "serviceaccount", "uid"])
      : undefined;
  // A service account of the same name that was made anew is another one.
  if (uid !== undefined && uid !== review.uid) {
    throw new Refusal("review", "the cluster names another service account of that name");
  }
}

import type { CallContext } from "./context.ts";
import type { Secret } from "./secret.ts";

/** What the API server of a Kubernetes cluster says of a token (authentication.k8s.io/v1). */
export interface TokenReview {
  /** False for a token of what was deleted: a pod, a service account. */
  readonly authenticated: boolean;
  /** Those of the asked ones that the token is for. */
  readonly audiences: readonly string[];
  readonly username: string | null;
  readonly uid: string | null;
}

/** Port: the clusters that this process may ask, by the names that its operators gave them. */
export interface TokenReviews {
  readonly clusters: readonly string[];
  /**
   * R1. Asks the API server now; calls for one token that are under way together share an answer,
   * and none is kept. R2. Bounded in time and number. Throws where there is no answer.
   */
  review(
    cluster: string,
    token: Secret,
    audience: string,
    context: CallContext,
  ): Promise<TokenReview>;
}

import type { Actor, DecisionId, VerifiedIdentity, Workload } from "@mayfly/spec";

/**
 * Who asks to administer. An actor was let in by other means (the bootstrap token), and may do
 * everything: else a set of policies that locks everybody out could not be mended. Of an identity
 * today's policies decide.
 */
export type Author = Actor | IdentityAuthor;
export interface IdentityAuthor {
  readonly kind: "identity";
  readonly workload: Workload;
  /** Whether its trust root is one of administrators. */
  readonly mayAdminister: boolean;
}

export const authorOfIdentity = (identity: VerifiedIdentity): IdentityAuthor => ({
  kind: "identity",
  workload: identity.workload,
  mayAdminister: identity.mayAdminister,
});

/** In whose name a change is made, and by which decision; null: policy was not asked. */
export interface Authority {
  readonly actor: Actor;
  readonly decisionId: DecisionId | null;
}

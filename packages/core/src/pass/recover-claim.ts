import {
  BrokerError,
  durationSeconds,
  type BackendCapabilities,
  type Claim,
  type CallContext,
  type Exposure,
  type JsonObject,
  type OpenBackend,
  type Secret,
} from "@mayfly/spec";
import { untilExpired, type ClaimWorld, type Worked } from "./revoke-claim.ts";

export interface RecoverWorld extends ClaimWorld {
  /** Durable when it resolves. False: the claim was lost. */
  readonly tellFound: (looked: JsonObject) => Promise<boolean>;
}

/**
 * Settles a mint whose outcome nobody recorded. The ledger claims it only after `settleBy`. What
 * was found, now or by a claim that was cut off after it had destroyed it, ends as `revoked`.
 */
export async function recoverClaim(
  world: RecoverWorld,
  claim: Claim,
  checkpoint: Secret | null,
  open: OpenBackend,
  capabilities: BackendCapabilities,
  context: CallContext,
): Promise<Worked> {
  const { work } = claim;
  let earlier = work.kind === "recover" ? work.found : null;
  await world.failPoints.reached("recover.before");
  const recovered = await open.recover(claim.plan, checkpoint, {
    ...context,
    settledForSeconds: work.kind === "recover" ? work.settledForSeconds : 0,
    found: async (looked) => {
      if (earlier !== null) return;
      if (!(await world.tellFound(looked))) throw lost(claim);
      earlier = looked;
    },
  });
  await world.failPoints.reached("recover.after");
  switch (recovered.outcome) {
    case "absent":
      if (earlier === null) return { kind: "ended", outcome: "absent", looked: recovered.looked };
      return {
        kind: "ended",
        outcome: "revoked",
        looked: { ...recovered.looked, found: earlier },
      };
    case "destroyed":
      return { kind: "ended", outcome: "revoked", looked: recovered.looked };
    case "wait":
      return {
        kind: "wait",
        seconds: durationSeconds(Math.max(recovered.seconds, world.retryBaseSeconds)),
        exposure: unsettled(claim, capabilities),
      };
    case "expires":
      return untilExpired(world, recovered.notLaterThan, context.clock.now());
  }
}

const lost = ({ leaseId }: Claim): BrokerError =>
  new BrokerError("conflict", "Somebody else has claimed the lease.", { where: leaseId });

const unsettled = (
  claim: Claim,
  capabilities: BackendCapabilities,
): Exclude<Exposure, { kind: "none" }> =>
  capabilities.expiryEnforcedBy === "upstream"
    ? { kind: "until", until: claim.plan.expiresAt, reason: "unsettled" }
    : { kind: "unknown", reason: "unsettled" };

import {
  durationSeconds,
  type BackendCapabilities,
  type Claim,
  type Exposure,
  type OpenBackend,
  type RecoverContext,
  type Secret,
} from "@mayfly/spec";
import { untilExpired, type ClaimWorld, type Worked } from "./revoke-claim.ts";

/** Settles a mint whose outcome nobody recorded. The ledger claims it only after `settleBy`. */
export async function recoverClaim(
  world: ClaimWorld,
  claim: Claim,
  checkpoint: Secret | null,
  open: OpenBackend,
  capabilities: BackendCapabilities,
  context: RecoverContext,
): Promise<Worked> {
  await world.failPoints.reached("recover.before");
  const recovered = await open.recover(claim.plan, checkpoint, context);
  await world.failPoints.reached("recover.after");
  switch (recovered.outcome) {
    case "absent":
      return { kind: "ended", outcome: "absent", looked: recovered.looked };
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

const unsettled = (
  claim: Claim,
  capabilities: BackendCapabilities,
): Exclude<Exposure, { kind: "none" }> =>
  capabilities.expiryEnforcedBy === "upstream"
    ? { kind: "until", until: claim.plan.expiresAt, reason: "unsettled" }
    : { kind: "unknown", reason: "unsettled" };

import {
  BackendError,
  durationSeconds,
  plusSeconds,
  type InstantMs,
  type IssuePlan,
  type Probe,
  type Recovered,
  type Revoked,
  type Secret,
} from "@mayfly/spec";
import { readHandle, type TokenHandle } from "./token-handle.ts";
import type { TokenLane } from "./token-lane.ts";

/**
 * The end of the lease, which the ledger has by now, is the revocation: introspection reads it.
 * Whoever does not introspect accepts the token until it dies.
 */
export async function revokeToken(lane: TokenLane, handle: Secret): Promise<Revoked> {
  const read = readHandle(handle);
  const standing = await lane.host.tokens.standingOf(read.leaseId);
  if (standing !== "live") return { outcome: "expires", notLaterThan: diesAt(lane, read) };
  throw new BackendError("JWT, revoke: the ledger says that the lease lives, so its token counts", {
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(1) },
  });
}

/** Looks at both ways of refusal: what introspection would say, and whether the time is over. */
export async function probeToken(lane: TokenLane, handle: Secret): Promise<Probe> {
  const read = readHandle(handle);
  const standing = await lane.host.tokens.standingOf(read.leaseId);
  const now = lane.host.clock.now();
  const isDead = now >= diesAt(lane, read);
  const isActive = standing === "live" && now < read.expiresAt;
  return {
    verdict: isDead ? "refused" : "accepted",
    looked: {
      introspection: isActive ? "active" : "inactive",
      without_introspection: isDead ? "expired" : "accepted",
      expires_at: read.expiresAt,
    },
  };
}

/**
 * A token that was signed by a process which then died is found nowhere; if it exists at all,
 * nobody was given it, introspection denies it, and it dies with its plan.
 */
export async function recoverToken(lane: TokenLane, plan: IssuePlan): Promise<Recovered> {
  const { verifier_leeway_seconds: leeway } = lane.settings;
  return { outcome: "expires", notLaterThan: plusSeconds(plan.expiresAt, leeway) };
}

/** From then on nobody accepts it. What was said of verifiers when it was made, or is said now. */
const diesAt = ({ settings }: TokenLane, { expiresAt, leewaySeconds }: TokenHandle): InstantMs =>
  plusSeconds(expiresAt, Math.max(leewaySeconds, settings.verifier_leeway_seconds));

import {
  durationSeconds,
  type BackendCapabilities,
  type CallContext,
  type Claim,
  type ClaimOutcome,
  type FailPoints,
  type InstantMs,
  type OpenBackend,
  type RevocationOperations,
  type Secret,
} from "@mayfly/spec";

export interface ClaimWorld {
  readonly failPoints: FailPoints;
  /**
   * How far past an expiry a clock of ours must be before the backend's is past it too: one skew
   * between us and true time, one between that and the backend.
   */
  readonly marginSeconds: number;
  readonly retryBaseSeconds: number;
}

/** What a claim came to, before the ledger is told. A failure throws. */
export type Worked =
  | Exclude<ClaimOutcome, { kind: "failed" }>
  | { readonly kind: "still_accepted" }
  /** A standing secret that nobody replaced: no attempt of ours changes that. */
  | { readonly kind: "not_replaced" };

/** Revokes and looks. Only a probe that saw the refusal ends a lease as `revoked`. */
export async function revokeClaim(
  world: ClaimWorld,
  claim: Claim,
  handle: Secret,
  open: OpenBackend,
  capabilities: BackendCapabilities,
  context: CallContext,
): Promise<Worked> {
  if (open.revocation === "none") {
    if (capabilities.expiryEnforcedBy === "upstream") {
      return untilExpired(world, claim.expiresAt, context.clock.now());
    }
    const looked = await open.replaced?.(handle, context);
    if (looked?.verdict !== "refused") return { kind: "not_replaced" };
    // Nobody saw it refused: what was handed out is no longer what the backend has.
    return { kind: "ended", outcome: "absent", looked: looked.looked };
  }
  await world.failPoints.reached("revoke.before");
  const revoked = await open.revoke(handle, context);
  await world.failPoints.reached("revoke.after");
  const now = context.clock.now();
  if (revoked.outcome === "expires") {
    return dyingByItself(world, revoked.notLaterThan, handle, open, context);
  }
  if (revoked.outcome === "propagating" && revoked.until > now) {
    return {
      kind: "wait",
      seconds: durationSeconds(Math.max((revoked.until - now) / 1000, world.retryBaseSeconds)),
      exposure: { kind: "until", until: revoked.until, reason: "propagating" },
    };
  }
  const probe = await open.probe(handle, context);
  await world.failPoints.reached("probe.after");
  return probe.verdict === "refused"
    ? { kind: "ended", outcome: "revoked", looked: probe.looked }
    : { kind: "still_accepted" };
}

/**
 * Refused wherever the backend is asked, and nowhere else before it dies: ended as `expired` once
 * the clocks agree that it did, and a probe saw it, not as `revoked`.
 */
async function dyingByItself(
  world: ClaimWorld,
  notLaterThan: InstantMs,
  handle: Secret,
  open: Extract<OpenBackend, RevocationOperations>,
  context: CallContext,
): Promise<Worked> {
  const worked = untilExpired(world, notLaterThan, context.clock.now());
  if (worked.kind === "wait") {
    return { ...worked, exposure: { kind: "until", until: notLaterThan, reason: "propagating" } };
  }
  const probe = await open.probe(handle, context);
  if (probe.verdict === "accepted") return { kind: "still_accepted" };
  return { ...worked, looked: { ...worked.looked, ...probe.looked } };
}

/** Of what cannot be revoked: ended when the backend's own clock is certainly past the expiry. */
export function untilExpired(
  world: Pick<ClaimWorld, "marginSeconds">,
  expiresAt: InstantMs,
  now: InstantMs,
): Extract<Worked, { kind: "ended" | "wait" }> {
  const leftSeconds = (expiresAt - now) / 1000 + world.marginSeconds;
  if (leftSeconds < 0) {
    const looked = { expired_at: expiresAt, margin_seconds: world.marginSeconds };
    return { kind: "ended", outcome: "expired", looked };
  }
  return {
    kind: "wait",
    // Past it, not at it.
    seconds: durationSeconds(leftSeconds + 0.001),
    exposure: { kind: "until", until: expiresAt, reason: "expires_upstream" },
  };
}

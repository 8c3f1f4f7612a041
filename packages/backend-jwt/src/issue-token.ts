import { issueBySigning, orNothingSigned } from "@mayfly/backend-kit";
import {
  BackendError,
  instantMs,
  type BackendKeys,
  type IssueContext,
  type IssuePlan,
  type Issued,
  type Secret,
} from "@mayfly/spec";
import { claimsOf, TYPE } from "./access-token.ts";
import { refusedAudience } from "./refused-audience.ts";
import { grantOf, type TokenGrant } from "./role-settings.ts";
import { writeHandle } from "./token-handle.ts";
import type { TokenLane } from "./token-lane.ts";

const WHAT = "JWT, issue";

export async function issueToken(
  lane: TokenLane,
  plan: IssuePlan,
  context: IssueContext,
): Promise<Issued> {
  const { settings, host } = lane;
  const grant = grantOf(plan);
  requireAudiences(lane, grant);
  const expiresAt = Math.floor(plan.expiresAt / 1000);
  const claims = claimsOf({
    issuer: host.tokens.issuer,
    jti: plan.externalName,
    taskId: context.taskId,
    grant,
    issuedAt: Math.floor(context.clock.now() / 1000),
    expiresAt,
  });
  const token = await issueBySigning(WHAT, context, () => sign(lane, claims));
  return {
    material: {
      access_token: token,
      // RFC 9449 section 7.1: what is bound to a key is not sent as Bearer.
      token_type: grant.key_binding === "dpop" ? "DPoP" : "Bearer",
      audience: grant.audience,
      scope: grant.scope.join(" "),
      issuer: host.tokens.issuer,
    },
    fingerprintOf: "access_token",
    expiresAt: instantMs(expiresAt * 1000),
    handle: writeHandle({
      name: plan.externalName,
      exp: expiresAt,
      leeway: settings.verifier_leeway_seconds,
    }),
  };
}

/** The configuration may have changed since the role was registered. */
function requireAudiences(lane: TokenLane, { audience }: TokenGrant): void {
  const refused = audience.map((each) => refusedAudience(lane, each)).find((why) => why !== null);
  if (refused === undefined || refused === null) return;
  throw new BackendError(`${WHAT}: ${refused.what}`, { effect: "none", retry: { kind: "never" } });
}

const sign = (
  { host, settings }: TokenLane,
  claims: Parameters<BackendKeys["sign"]>[1],
): Promise<Secret> =>
  orNothingSigned(WHAT, "signing key", async () => {
    const { keys } = host.tokens;
    // The timer makes the first key; whoever is faster than it makes it here.
    const published = await keys.published();
    if (published.length === 0) await keys.rotate(settings.algorithm, host.clock.now());
    return keys.sign(TYPE, claims);
  });

import { BrokerError, type CheckProblem, type JsonObject, type SelfCheck } from "@mayfly/spec";
import { refusedAudience } from "./refused-audience.ts";
import { audiencesOfRole, roleSettings } from "./role-settings.ts";
import type { TokenLane } from "./token-lane.ts";

/** There is no upstream to have rights at: what counts is that the audiences are allowed ones. */
export async function selfCheck(lane: TokenLane, roles: readonly JsonObject[]): Promise<SelfCheck> {
  const { settings, host } = lane;
  const { issuer, keys } = host.tokens;
  const refused = roles.flatMap(refusalOf);
  const ofRoles = roles.flatMap(audiencesOfRole);
  const named = [...settings.audiences, ...ofRoles];
  const problems = [...new Set(named)]
    .map((audience) => refusedAudience(lane, audience))
    .filter((problem): problem is CheckProblem => problem !== null);
  const published = await keys.published();
  return {
    // Another public URL of the broker is another issuer, and so another backend.
    upstreamIdentity: issuer,
    clockSkewMs: 0,
    facts: {
      issuer,
      algorithm: settings.algorithm,
      keys: published.length,
      audiences: settings.audiences,
      ...(refused.length === 0 ? {} : { roles_that_issue_nothing: refused }),
    },
    problems,
  };
}

/** Why a role on record, which an earlier version took, issues nothing: it holds up no other. */
function refusalOf(role: JsonObject): readonly string[] {
  try {
    roleSettings(role);
    return [];
  } catch (error) {
    if (BrokerError.is(error)) return [error.message];
    throw error;
  }
}

import type { CheckProblem } from "@mayfly/spec";
import { audienceSpelling } from "./audience-spelling.ts";
import type { TokenLane } from "./token-lane.ts";

/**
 * Why no token may be for that audience, or null. The broker's own is never one, however it is
 * spelled: what this backend signs is nothing that the broker would take as proof of anything.
 */
export function refusedAudience(
  { settings, host }: TokenLane,
  audience: string,
): CheckProblem | null {
  const { brokerIssuer } = host.tokens;
  if (isOurs(audience, brokerIssuer)) {
    return {
      code: "audience_is_the_broker",
      what: `The audience ${audience} is this broker itself, or one of its issuers.`,
      fix: "Name the API that the tokens are for.",
    };
  }
  if (settings.audiences.includes(audience)) return null;
  return {
    code: "audience_not_configured",
    what: `The backend's configuration does not name the audience ${audience}.`,
    fix: `Add it to \`audiences\` of ${host.backendId}, or take it out of the role.`,
  };
}

function isOurs(audience: string, issuer: string): boolean {
  const [asked, own] = [audienceSpelling(withoutQuery(audience)), audienceSpelling(issuer)];
  return asked === own || `${asked}/`.startsWith(`${own}/backends/`);
}

const withoutQuery = (audience: string): string => audience.replace(/[?#].*$/, "");

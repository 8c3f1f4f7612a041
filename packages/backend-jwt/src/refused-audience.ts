import type { CheckProblem } from "@mayfly/spec";
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
  const [asked, own] = [spellingOf(audience), spellingOf(issuer)];
  return asked === own || `${asked}/`.startsWith(`${own}/backends/`);
}

/** RFC 3986 section 6.2: case of scheme and host, the default port, dots and slashes at the end. */
function spellingOf(text: string): string {
  if (!URL.canParse(text)) return text.toLowerCase();
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`.replace(/\/+$/, "").toLowerCase();
}

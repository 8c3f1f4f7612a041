import type { CheckProblem, JsonObject, SelfCheck } from "@mayfly/spec";
import { nameBeyond } from "./certified-names.ts";
import type { Lane } from "./lane.ts";
import { roleSettings, type RoleSettings } from "./role-settings.ts";

/** The longest time in which a server fetches the next list that can be kept up. */
const SHORT_CRL_SECONDS = 10;

/** There is no upstream to have rights at: what counts is that servers can follow the lists. */
export async function selfCheck(
  { settings, host }: Lane,
  roles: readonly JsonObject[],
): Promise<SelfCheck> {
  const { issuer, keys } = host.tokens;
  const trusted = await keys.published();
  const isShort = settings.servers_check_crl && settings.crl_seconds < SHORT_CRL_SECONDS;
  return {
    // Certificates point at lists below the broker's public URL: another one is another authority.
    upstreamIdentity: issuer,
    clockSkewMs: 0,
    facts: {
      authority: `${issuer}/authority/ca.pem`,
      lists: `${issuer}/authority/crl.pem`,
      algorithm: settings.algorithm,
      keys: trusted.length,
      servers_check_crl: settings.servers_check_crl,
    },
    problems: [
      ...(isShort
        ? [
            {
              code: "crl_too_short",
              what:
                `lists of revoked certificates count for ${settings.crl_seconds} s: a server that ` +
                "misses one fetch refuses everybody",
              fix: `Set crl_seconds to ${SHORT_CRL_SECONDS} or more.`,
            },
          ]
        : []),
      ...roles.flatMap((role) => beyondDomains(roleSettings(role), settings.domains)),
    ],
  };
}

function beyondDomains(role: RoleSettings, domains: readonly string[]): CheckProblem[] {
  const beyond = nameBeyond(role, domains);
  if (beyond === undefined) return [];
  return [
    {
      code: "name_beyond_domains",
      what: `a role has "${beyond}", which lies in none of the backend's domains`,
      fix: "Add its domain to the backend's configuration, or take the name out of the role.",
    },
  ];
}

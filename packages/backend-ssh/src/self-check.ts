import { BackendError, type CallContext, type CheckProblem, type SelfCheck } from "@mayfly/spec";
import { hostFailed } from "./ask-host.ts";
import type { Lane, ToldHost } from "./lane.ts";
import { requestHead } from "./revocation-list.ts";

/** Every host is asked whether it could keep a list; none is changed. */
export async function selfCheck(lane: Lane, { signal }: CallContext): Promise<SelfCheck> {
  const request = `${requestHead("check", lane.authority)}\n`;
  const found = await Promise.all(lane.hosts.map((host) => problemOf(host, request, signal)));
  const { issuer } = lane.host.tokens;
  return {
    // Hosts fetch from below the broker's public URL: another one is another authority.
    upstreamIdentity: issuer,
    clockSkewMs: null,
    facts: { authority: `${issuer}/authority/ca.pub`, hosts: lane.hosts.length },
    problems: found.filter((problem): problem is CheckProblem => problem !== null),
  };
}

async function problemOf(
  host: ToldHost,
  request: string,
  signal: AbortSignal,
): Promise<CheckProblem | null> {
  try {
    const answer = await host.ask(request, signal);
    if (/^ready \d{1,20}$/.test(answer)) return null;
    throw hostFailed(host.at, "its answer is none");
  } catch (error) {
    if (!BackendError.isBackendError(error)) throw error;
    return {
      code: "host_not_ready",
      what: error.message,
      fix: "Set the host up as docs/backends/ssh.md says: user, command, list and sshd's lines.",
    };
  }
}

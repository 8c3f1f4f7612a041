import { BackendError, type CallContext, type CheckProblem, type SelfCheck } from "@mayfly/spec";
import { hostFailed } from "./ask-host.ts";
import type { Lane, ToldHost } from "./lane.ts";
import { requestHead } from "./revocation-list.ts";

/** Every host is asked whether it could keep a list; none is changed. */
export async function selfCheck(lane: Lane, { signal }: CallContext): Promise<SelfCheck> {
  const request = `${requestHead("check", lane.authority)}\n`;
  const found = await Promise.all(lane.hosts.map((host) => problemOf(host, request, signal)));
  const key = await problemOfKey(lane);
  const { issuer } = lane.host.tokens;
  return {
    // Hosts fetch from below the broker's public URL: another one is another authority.
    upstreamIdentity: issuer,
    clockSkewMs: null,
    facts: { authority: `${issuer}/authority/ca.pub`, hosts: lane.hosts.length },
    problems: [key, ...found].filter((problem): problem is CheckProblem => problem !== null),
  };
}

/** Of keys that Mayfly makes, none is needed yet. */
async function problemOfKey({ source, settings }: Lane): Promise<CheckProblem | null> {
  if (settings.authority_key.source === "mayfly") return null;
  try {
    for (const key of await source.keys()) await key.sign(SAMPLE);
    return null;
  } catch (error) {
    return {
      code: "authority_key_unusable",
      what: `The authority's key cannot be used: ${error instanceof Error ? error.message : "?"}.`,
      fix:
        settings.authority_key.source === "file"
          ? "Put a private key there that the broker may read: Ed25519, P-256 or RSA."
          : "Allow the user kms:GetPublicKey and kms:Sign with the key, which is for signing.",
    };
  }
}

const SAMPLE = Buffer.from("mayfly: whether this key signs");

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

import { BackendError, Secret, type CallContext } from "@mayfly/spec";
import { z } from "zod";
import type { Lane } from "./lane.ts";
import { VaultFailure, unfinished } from "./vault-failure.ts";

const made = z.object({
  auth: z.object({
    client_token: z.string().min(1),
    lease_duration: z.int().min(0),
    renewable: z.boolean(),
    orphan: z.boolean().default(false),
  }),
});

interface UnderWay {
  readonly token: Secret;
  readonly previous: Secret;
  readonly role: string;
}

function underWay({ settings: { login } }: Lane): UnderWay {
  const { token, previous_token: previous, token_role: role } = login;
  if (token === undefined || previous === undefined || role === undefined) {
    throw new TypeError("no rotation of a token is under way");
  }
  return { token: Secret.of(token), previous: Secret.of(previous), role };
}

const isSame = (one: Secret, other: Secret): boolean =>
  one.expose("upstream") === other.expose("upstream");

/**
 * A token by the configuration's token role: an orphan, or it would end with the one that made it,
 * that can be renewed and ends by itself, so that one whose answer is lost is none for ever.
 */
export async function obtainToken(lane: Lane, context: CallContext): Promise<Secret | null> {
  const { token, previous, role } = underWay(lane);
  if (!isSame(token, previous) && (await isAccepted(lane, token, context))) return null;
  const path = `auth/token/create/${role}`;
  const answer = await lane.work.call("POST", path, previous, context, { body: {} });
  const { client_token, lease_duration: seconds, renewable, orphan } = made.parse(answer.body).auth;
  const next = Secret.of(client_token);
  if (orphan && renewable && seconds > 0) return next;
  await revoke(lane, next, context);
  throw new BackendError(
    `Vault, obtain a secret: the token role ${role} makes tokens that the broker cannot live by; ` +
      "set orphan=true, renewable=true and a token_period of it, then rotate again",
    { effect: "none", retry: { kind: "never" } },
  );
}

/** Once the new token is accepted, the old one revokes itself, and with it its children. */
export async function adoptToken(lane: Lane, context: CallContext): Promise<void> {
  const { token, previous } = underWay(lane);
  if (isSame(token, previous)) throw new TypeError("there is no new token to adopt");
  await lane.work.call("GET", "auth/token/lookup-self", token, context);
  if (await isAccepted(lane, previous, context)) await revoke(lane, previous, context);
  if (!(await isAccepted(lane, previous, context))) return;
  throw unfinished("adopt a secret: the old token is accepted still, though it was revoked");
}

const revoke = (lane: Lane, token: Secret, context: CallContext) =>
  lane.work.call("POST", "auth/token/revoke-self", token, context, { body: {} });

async function isAccepted(lane: Lane, token: Secret, context: CallContext): Promise<boolean> {
  try {
    await lane.work.call("GET", "auth/token/lookup-self", token, context);
    return true;
  } catch (thrown) {
    if (thrown instanceof VaultFailure && thrown.status === 403) return false;
    throw thrown;
  }
}

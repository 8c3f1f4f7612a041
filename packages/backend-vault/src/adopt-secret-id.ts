import { Secret, type CallContext } from "@mayfly/spec";
import { z } from "zod";
import type { Lane } from "./lane.ts";
import type { LoginSettings } from "./server-settings.ts";
import { VaultFailure, unfinished } from "./vault-failure.ts";

interface LoggedIn {
  readonly token: Secret;
  readonly roleName: string;
}

const loggedIn = z.object({
  auth: z.object({
    client_token: z.string().min(1),
    metadata: z.object({ role_name: z.string().regex(/^[\w.@-]{1,4096}$/) }),
  }),
});
/** What a secret id is bound to, which the next one keeps; how long it lives its role says. */
const known = z.object({
  data: z.object({
    cidr_list: z.array(z.string()).nullable().default(null),
    token_bound_cidrs: z.array(z.string()).nullable().default(null),
    metadata: z.record(z.string(), z.string()).nullable().default(null),
  }),
});
type Known = z.infer<typeof known>["data"];

/**
 * Registers the configuration's secret id beside the one before it, with what that is bound to,
 * logs in by it, destroys the other one and looks that it is gone. A refused login is asked for
 * only where an earlier call has destroyed the old one: servers lock out who fails too often.
 */
export async function adoptSecretId(lane: Lane, context: CallContext): Promise<void> {
  const { secret_id: next, previous_secret_id: previous } = approleOf(lane);
  if (previous === undefined) throw new TypeError("no rotation of a secret id is under way");
  const before = await logInUnlessRefused(lane, previous, context);
  if (before !== null) {
    await asRole(lane, before, context, async (role) => {
      if ((await role.lookUp(next)) !== null) return;
      const bound = await role.lookUp(previous);
      await role.register(next, bound);
    });
  }
  await asRole(lane, await logIn(lane, next, context), context, async (role) => {
    await role.destroy(previous);
    if ((await role.lookUp(previous)) === null) return;
    throw unfinished("adopt a secret: the old secret id is there still, though it was destroyed");
  });
}

const approleOf = ({ settings: { login } }: Lane): NonNullable<LoginSettings["approle"]> => {
  if (login.approle === undefined) throw new TypeError("the login is no AppRole");
  return login.approle;
};

async function logIn(lane: Lane, secretId: string, context: CallContext): Promise<LoggedIn> {
  const { mount, role_id } = approleOf(lane);
  const body = { role_id, secret_id: secretId };
  const answer = await lane.work.call("POST", `auth/${mount}/login`, null, context, { body });
  const { client_token: token, metadata } = loggedIn.parse(answer.body).auth;
  return { token: Secret.of(token), roleName: metadata.role_name };
}

async function logInUnlessRefused(
  lane: Lane,
  secretId: string,
  context: CallContext,
): Promise<LoggedIn | null> {
  try {
    return await logIn(lane, secretId, context);
  } catch (thrown) {
    if (thrown instanceof VaultFailure && thrown.kind === "refused") return null;
    throw thrown;
  }
}

interface OwnRole {
  /** Null: there is no such secret id. */
  lookUp(secretId: string): Promise<Known | null>;
  register(secretId: string, bound: Known | null): Promise<void>;
  destroy(secretId: string): Promise<void>;
}

/** With a token of its own, which ends with it. */
async function asRole(
  lane: Lane,
  { token, roleName }: LoggedIn,
  context: CallContext,
  work: (role: OwnRole) => Promise<void>,
): Promise<void> {
  const at = `auth/${approleOf(lane).mount}/role/${roleName}`;
  const post = async (path: string, body: object): Promise<unknown> =>
    (await lane.work.call("POST", path, token, context, { body })).body;
  try {
    await work({
      lookUp: async (secretId) => {
        // 204 where there is none.
        const body = await post(`${at}/secret-id/lookup`, { secret_id: secretId });
        return body === null ? null : known.parse(body).data;
      },
      register: async (secretId, bound) => {
        await post(`${at}/custom-secret-id`, { secret_id: secretId, ...asSent(bound) });
      },
      destroy: async (secretId) => {
        await post(`${at}/secret-id/destroy`, { secret_id: secretId });
      },
    });
  } finally {
    // It dies by itself too.
    await post("auth/token/revoke-self", {}).catch(() => undefined);
  }
}

const asSent = (bound: Known | null): object => ({
  ...(bound?.cidr_list ? { cidr_list: bound.cidr_list } : {}),
  ...(bound?.token_bound_cidrs ? { token_bound_cidrs: bound.token_bound_cidrs } : {}),
  // A text of JSON: https://openbao.org/api-docs/auth/approle/#create-custom-approle-secret-id.
  ...(bound?.metadata ? { metadata: JSON.stringify(bound.metadata) } : {}),
});

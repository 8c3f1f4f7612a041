import { done, ok, refused, type Reply } from "./fake-reply.ts";
import type { FakeState } from "./fake-vault-state.ts";

/** Who may log in at `auth/<mount>/login`. */
export interface FakeLogins {
  /** By the body's text; life of the token. */
  accept: { readonly mount: string; readonly body: object; readonly seconds: number } | null;
  /** At the mount `approle`, of a role `mayfly`: what each secret id is bound to. */
  appRole: { readonly roleId: string; readonly secretIds: Map<string, object> } | null;
  /** How often somebody did. */
  count: number;
}

export const noLogins = (): FakeLogins => ({ accept: null, appRole: null, count: 0 });

export function logIn(
  state: FakeState,
  logins: FakeLogins,
  path: string,
  body: Readonly<Record<string, unknown>>,
): Reply {
  logins.count += 1;
  const seconds = secondsOf(logins, path, body);
  if (seconds === null) return refused(400, "invalid role or secret ID");
  const policies = ["default", "mayfly"];
  const { value } = state.makeToken({
    policies,
    path,
    parent: null,
    ttlMs: seconds * 1_000,
    uses: 0,
  });
  return ok({
    data: null,
    auth: {
      client_token: value,
      lease_duration: seconds,
      renewable: false,
      metadata: { role_name: "mayfly" },
    },
  });
}

const APPROLE_SECONDS = 600;

function secondsOf(
  { accept, appRole }: FakeLogins,
  path: string,
  body: Readonly<Record<string, unknown>>,
): number | null {
  const isKnown =
    path === "auth/approle/login" &&
    appRole?.roleId === body["role_id"] &&
    appRole?.secretIds.has(String(body["secret_id"])) === true;
  if (isKnown) return APPROLE_SECONDS;
  const isAccepted =
    accept !== null &&
    path === `auth/${accept.mount}/login` &&
    JSON.stringify(body) === JSON.stringify(accept.body);
  return isAccepted ? accept.seconds : null;
}

/** What is asked of a role's secret ids; null: of something else. */
export function routeAppRole(
  { appRole }: FakeLogins,
  path: string,
  body: Readonly<Record<string, unknown>>,
): Reply | null {
  const asked = /^auth\/approle\/role\/mayfly\/(custom-secret-id|secret-id\/\w+)$/.exec(path)?.[1];
  if (asked === undefined || appRole === null) return null;
  const { secretIds } = appRole;
  const { secret_id: given, ...bound } = body;
  const id = String(given);
  switch (asked) {
    case "custom-secret-id": {
      if (secretIds.has(id)) {
        return refused(500, "failed to store secret_id: SecretID is already registered");
      }
      const { metadata } = bound as { readonly metadata?: string };
      const kept = metadata === undefined ? {} : { metadata: JSON.parse(metadata) as object };
      secretIds.set(id, { ...bound, ...kept });
      return ok({ data: { secret_id: id } });
    }
    case "secret-id/lookup": {
      const known = secretIds.get(id);
      return known === undefined ? done : ok({ data: known });
    }
    case "secret-id/destroy":
      secretIds.delete(id);
      return done;
    default:
      return null;
  }
}

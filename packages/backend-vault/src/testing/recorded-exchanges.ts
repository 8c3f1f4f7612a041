import type { VaultServer } from "./vault-server.ts";

/** A request, and what of its answer Mayfly relies on. */
export interface Exchange {
  readonly what: string;
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: object;
}

const NAME = `mf_recorded_${"0".repeat(32)}-${"a".repeat(64)}`;
const ROLE = `auth/token/roles/${NAME}`;
const APPROLE = "auth/approle/role/mayfly";
const CREATE = `auth/token/create/${NAME}`;
const MADE = `sys/leases/lookup/${CREATE}/?list=true`;
const token = { policies: ["orders"], ttl: "60000ms", no_default_policy: true };
const role = { allowed_policies: "orders", orphan: true, path_suffix: "token" };

/**
 * What the type asks of the server, the odd cases above all. The answers in
 * `recorded-exchanges.server.test.ts` are those of OpenBao 2.6.2, and the fake gives the same.
 */
export const EXCHANGES: readonly Exchange[] = [
  { what: "no role of the name", method: "GET", path: ROLE },
  { what: "a token by no role", method: "POST", path: CREATE, body: token },
  {
    what: "a role that makes no token",
    method: "POST",
    path: ROLE,
    body: { disallowed_policies_glob: "*", path_suffix: "tombstone-1" },
  },
  { what: "a token by it", method: "POST", path: CREATE, body: token },
  { what: "a role", method: "POST", path: ROLE, body: role },
  { what: "the role", method: "GET", path: ROLE },
  { what: "no token below its name", method: "GET", path: MADE },
  {
    what: "a token of more policies",
    method: "POST",
    path: CREATE,
    body: { ...token, policies: ["orders", "stock"] },
  },
  // What is not sent stays as it was.
  { what: "a token by both", method: "POST", path: CREATE, body: token },
  { what: "delete the role", method: "DELETE", path: ROLE },
  { what: "the role alone", method: "POST", path: ROLE, body: role },
  { what: "a token", method: "POST", path: CREATE, body: token },
  { what: "a token below its name", method: "GET", path: MADE },
  {
    what: "revoke what nobody has",
    method: "POST",
    path: "auth/token/revoke-accessor",
    body: { accessor: "nobody" },
  },
  {
    what: "revoke by prefix",
    method: "POST",
    path: `sys/leases/revoke-prefix/${CREATE}`,
    body: { sync: true },
  },
  { what: "nothing is left below it", method: "GET", path: MADE },
  {
    what: "revoke by prefix again",
    method: "POST",
    path: `sys/leases/revoke-prefix/${CREATE}`,
    body: { sync: true },
  },
  { what: "delete the role", method: "DELETE", path: ROLE },
  { what: "delete it again", method: "DELETE", path: ROLE },
  {
    what: "look for no lease",
    method: "POST",
    path: "sys/leases/lookup",
    body: { lease_id: "database/creds/reader/none" },
  },
  {
    what: "revoke no lease",
    method: "POST",
    path: "sys/leases/revoke/database/creds/reader/none",
    body: { sync: true },
  },
  ...["of an AppRole", "of it again"].map((which): Exchange => ({
    what: `a secret id of one's own ${which}`,
    method: "POST",
    path: `${APPROLE}/custom-secret-id`,
    body: { secret_id: "recorded", metadata: '{"team":"a"}' },
  })),
  ...["look for", "destroy", "destroy again", "look in vain for"].map((what): Exchange => ({
    what: `${what} a secret id`,
    method: "POST",
    path: `${APPROLE}/secret-id/${what.startsWith("destroy") ? "destroy" : "lookup"}`,
    body: { secret_id: "recorded" },
  })),
  {
    what: "log in by one that was destroyed",
    method: "POST",
    path: "auth/approle/login",
    body: { role_id: "mayfly", secret_id: "recorded" },
  },
  { what: "unwrap with what wraps nothing", method: "POST", path: "sys/wrapping/unwrap", body: {} },
  { what: "what was given up", method: "GET", path: "sys/leases?type=irrevocable&limit=none" },
];

/** Status, known words of a refusal, and the names of what is in `data` and `auth`. */
export async function exchange(server: VaultServer, one: Exchange): Promise<string> {
  const { status, body } = await server.asRoot(one.method, one.path, one.body);
  const { data, errors } = (body ?? {}) as { data?: object | null; errors?: readonly string[] };
  const words = (errors ?? [])
    .join(" ")
    .match(
      /invalid lease|unknown role|disallowed|subset|not valid|already registered|invalid role/,
    );
  const members = RELIED_ON.filter((name) => Object.hasOwn(data ?? {}, name));
  return [String(status), ...(words ?? []), ...members].join(" ");
}

const RELIED_ON = ["path_suffix", "keys", "leases", "secret_id", "metadata"];

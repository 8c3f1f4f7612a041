import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { makeAccount, makeCertificate, type FakeEngine } from "./fake-engine.ts";
import { logIn, noLogins, routeAppRole, type FakeLogins } from "./fake-logins.ts";
import { done, ok, refused, type Reply } from "./fake-reply.ts";
import { FakeState, leaseIdOf, type FakeToken } from "./fake-vault-state.ts";
import { driving, type VaultServer } from "./vault-server.ts";

/**
 * The part of the API that Mayfly uses, over a state in memory. What it answers, and with which
 * status, was recorded from OpenBao 2.6.2: `recorded-exchanges.server.test.ts` makes the same
 * requests of both.
 */
export interface FakeVault extends VaultServer {
  readonly state: FakeState;
  readonly engine: FakeEngine;
  readonly logins: FakeLogins;
  /** Methods and paths of all requests, in their order. */
  readonly asked: string[];
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly isList: boolean;
  readonly body: Readonly<Record<string, unknown>>;
  readonly token: FakeToken;
}

const DENIED = refused(403, "1 error occurred:\n\t* permission denied\n\n");
const listed = (keys: readonly string[]): Reply =>
  keys.length === 0 ? refused(404) : ok({ data: { keys } });

/** Where it listens, and the token of who may do everything. Default: a free port, any token. */
export interface FakeVaultPlace {
  readonly port?: number;
  readonly rootToken?: string;
}

export async function startFakeVault(place: FakeVaultPlace = {}): Promise<FakeVault> {
  const state = new FakeState(place.rootToken);
  const engine: FakeEngine = { accounts: new Map(), fails: false, certificates: new Map() };
  const logins = noLogins();
  const world = { state, engine, logins };
  const asked: string[] = [];
  const server = createServer((incoming, answer) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    readBody(incoming).then(
      (body) => write(answer, handle(world, incoming, body)),
      // Its caller is gone.
      () => answer.destroy(),
    );
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(place.port ?? 0, "127.0.0.1", () => {
      const address = server.address();
      if (typeof address === "object" && address !== null) resolve(address.port);
      else reject(new Error("the fake has no port"));
    });
  });
  return {
    host: "127.0.0.1",
    port,
    state,
    engine,
    logins,
    asked,
    ...driving({ port, rootToken: state.rootToken }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function readBody(incoming: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}

function write(answer: ServerResponse, { status, body }: Reply): void {
  answer.writeHead(status, { "content-type": "application/json" });
  answer.end(body === undefined ? "" : JSON.stringify(body));
}

interface World {
  readonly state: FakeState;
  readonly engine: FakeEngine;
  readonly logins: FakeLogins;
}

function handle(
  { state, engine, logins }: World,
  incoming: IncomingMessage,
  body: Record<string, unknown>,
): Reply {
  const url = new URL(incoming.url ?? "/", "http://fake");
  const path = decodeURIComponent(url.pathname.slice("/v1/".length));
  if (path === "sys/health") return health();
  const value = String(incoming.headers["x-vault-token"] ?? "");
  if (path === "sys/wrapping/unwrap") return unwrap(state, value);
  if (/^auth\/.+\/login$/.test(path)) return logIn(state, logins, path, body);
  const token = state.use(value);
  if (token === null) return DENIED;
  const isList = url.searchParams.get("list") === "true";
  const request: Request = { method: incoming.method ?? "GET", path, isList, body, token };
  if (!isAllowed(state, request)) return DENIED;
  const reply = routeAppRole(logins, path, body) ?? route(state, engine, request);
  const wrap = incoming.headers["x-vault-wrap-ttl"];
  return wrap === undefined || reply.status !== 200 ? reply : wrapped(state, path, reply, wrap);
}

/** What the policy `default` allows on both, beside what a token's own policies do. */
const BY_DEFAULT = [
  "auth/token/lookup-self",
  "auth/token/renew-self",
  "auth/token/revoke-self",
  "sys/capabilities-self",
];
const NEEDS_SUDO = /^sys\/leases(?:$|\/(?:lookup|revoke-prefix)\/)/;

function isAllowed(state: FakeState, { method, path, isList, body, token }: Request): boolean {
  if (token.policies.includes("default") && BY_DEFAULT.includes(path)) return true;
  if (path.startsWith("pki/cert/")) return true;
  const capability = isList ? "list" : method === "GET" ? "read" : writes(state, method, path);
  const may = (what: string, sent: object): boolean => state.may(token, path, what, sent);
  return may(capability, body) && (!NEEDS_SUDO.test(path) || may("sudo", {}));
}

function writes(state: FakeState, method: string, path: string): string {
  if (method === "DELETE") return "delete";
  const name = /^auth\/token\/roles\/(.+)$/.exec(path)?.[1];
  return name !== undefined && !state.roles.has(name) ? "create" : "update";
}

function wrapped(state: FakeState, path: string, { body }: Reply, wrap: string | string[]): Reply {
  const ttlMs = Number.parseInt(String(wrap), 10) * 1_000;
  const about = { policies: ["response-wrapping"], path, parent: null, ttlMs, uses: 1 };
  const { value, accessor } = state.makeToken({ ...about, wrapped: body ?? {} });
  const inside = body as { auth?: { accessor: string } };
  return ok({
    data: null,
    wrap_info: {
      token: value,
      accessor,
      ttl: ttlMs / 1_000,
      creation_path: path,
      ...(inside.auth === undefined ? {} : { wrapped_accessor: inside.auth.accessor }),
    },
  });
}

function unwrap(state: FakeState, value: string): Reply {
  state.expire();
  const token = state.tokens.get(value);
  if (token?.wrapped === undefined) {
    return refused(400, "wrapping token is not valid or does not exist");
  }
  state.revokeToken(value);
  return { status: 200, body: token.wrapped };
}

const health = (): Reply => ({
  status: 200,
  body: {
    initialized: true,
    sealed: false,
    standby: false,
    server_time_utc: Math.floor(Date.now() / 1_000),
    version: "2.6.2-fake",
    cluster_name: "fake",
    cluster_id: "9f3c1b52-fake",
  },
});

const after = (path: string, prefix: string): string | null =>
  path.startsWith(prefix) ? path.slice(prefix.length) : null;

function route(state: FakeState, engine: FakeEngine, request: Request): Reply {
  const { method, path, body, token } = request;
  switch (path) {
    case "auth/token/lookup-self":
      return ok({ data: { ttl: secondsLeft(token.expiresAt), renewable: true } });
    case "auth/token/renew-self":
      state.renewals += 1;
      return ok({ auth: { lease_duration: secondsLeft(token.expiresAt), renewable: true } });
    case "auth/token/revoke-self":
      state.revokeToken(token.value);
      return done;
    case "auth/token/revoke-accessor":
      return revokeAccessor(state, String(body["accessor"]));
    case "sys/capabilities-self":
      return ok({
        data: Object.fromEntries(
          (body["paths"] as string[]).map((one) => [one, state.capabilities(token, one)]),
        ),
      });
    case "sys/auth/token/tune":
      state.tokenMsMax = durationMs(body["max_lease_ttl"]);
      return done;
    case "sys/leases":
      return ok({ data: givenUp(state) });
    case "sys/leases/lookup":
      return lookUp(state, String(body["lease_id"]));
    case "secret/data/orders":
      return method === "GET" ? ok({ data: { data: { total: 3 } } }) : ok({ data: {} });
    case "database/creds/reader":
      return ok(makeAccount(state, engine, token));
    case "pki/issue/agents":
      return ok(makeCertificate(engine, body["ttl"]));
    case "pki/revoke":
      return revokeCertificate(engine, String(body["serial_number"]));
    case "auth/token/roles":
      return listed([...state.roles.keys()]);
    default:
      return routeByPrefix(state, engine, request);
  }
}

function routeByPrefix(state: FakeState, engine: FakeEngine, request: Request): Reply {
  const { path, body } = request;
  const policy = after(path, "sys/policies/acl/");
  if (policy !== null) {
    state.writePolicy(policy, String(body["policy"]));
    return done;
  }
  const role = after(path, "auth/token/roles/");
  if (role !== null) return routeRole(state, role, request);
  const create = after(path, "auth/token/create");
  if (create !== null) return createToken(state, create.slice(1), request);
  const serial = after(path, "pki/cert/");
  if (serial !== null) return readCertificate(engine, serial);
  const below = after(path, "sys/leases/lookup/");
  if (below !== null) return listed(namesBelow(state.leaseIds(), below));
  const revoked = after(path, "sys/leases/revoke/");
  if (revoked !== null) return revokeLease(state, revoked, body);
  const prefix = after(path, "sys/leases/revoke-prefix/");
  if (prefix !== null) return revokePrefix(state, `${prefix}/`);
  return refused(404, `no handler for route "${path}"`);
}

function routeRole(state: FakeState, name: string, { method, body }: Request): Reply {
  if (method === "DELETE") {
    state.roles.delete(name);
    return done;
  }
  const role = state.roles.get(name);
  if (method === "GET") return role === undefined ? refused(404) : ok({ data: { name, ...role } });
  const list = (name: string, before: readonly string[] = []): readonly string[] => {
    const value = body[name];
    return typeof value === "string" ? value.split(",") : before;
  };
  const suffix = body["path_suffix"];
  // What is not sent stays as it was.
  state.roles.set(name, {
    allowed_policies: list("allowed_policies", role?.allowed_policies),
    disallowed_policies_glob: list("disallowed_policies_glob", role?.disallowed_policies_glob),
    orphan: body["orphan"] === undefined ? role?.orphan === true : body["orphan"] === true,
    renewable:
      body["renewable"] === undefined ? role?.renewable !== false : body["renewable"] === true,
    path_suffix: typeof suffix === "string" ? suffix : (role?.path_suffix ?? ""),
    token_explicit_max_ttl: Number(
      body["token_explicit_max_ttl"] ?? role?.token_explicit_max_ttl ?? 0,
    ),
  });
  return done;
}

function createToken(state: FakeState, name: string, { path, body, token }: Request): Reply {
  if (Number.isFinite(token.usesLeft)) {
    return refused(400, "restricted use token cannot generate child tokens");
  }
  const role = state.roles.get(name);
  if (name !== "" && role === undefined) return refused(400, `unknown role ${name}`);
  const allowed = role?.allowed_policies ?? [];
  const policies = (body["policies"] ?? allowed) as string[];
  if (allowed.length > 0 && !policies.every((policy) => allowed.includes(policy))) {
    return refused(400, "token policies must be subset of the role's allowed policies");
  }
  if (role?.disallowed_policies_glob.includes("*") === true) {
    return refused(400, `token policy "${policies[0]}" is disallowed by this role`);
  }
  const ttlMs = Math.min(
    durationMs(body["ttl"]),
    state.tokenMsMax,
    (role?.token_explicit_max_ttl ?? 0) * 1_000 || Number.POSITIVE_INFINITY,
  );
  const given = body["no_default_policy"] === true ? policies : ["default", ...policies];
  const suffix = role?.path_suffix ?? "";
  const made = state.makeToken({
    policies: given,
    path: suffix === "" ? path : `${path}/${suffix}`,
    parent: role?.orphan === true ? null : token.value,
    ttlMs,
    uses: Number(body["num_uses"] ?? 0),
  });
  const unknown = policies.filter((policy) => !state.hasPolicy(policy));
  return ok({
    data: null,
    warnings:
      unknown.length === 0 ? null : unknown.map((policy) => `Policy "${policy}" does not exist`),
    auth: {
      client_token: made.value,
      accessor: made.accessor,
      policies: given,
      token_policies: given,
      lease_duration: Math.floor(ttlMs / 1_000),
      renewable: body["renewable"] !== false && role?.renewable !== false,
      orphan: role?.orphan === true,
    },
  });
}

/** As Go reads a duration, of which the type sends milliseconds, and tests seconds and hours. */
function durationMs(text: unknown): number {
  const [, amount = "3600", unit = "s"] = /^([\d.]+)(ms|s|h)$/.exec(String(text)) ?? [];
  return Number(amount) * { ms: 1, s: 1_000, h: 3_600_000 }[unit as "ms" | "s" | "h"];
}

const secondsLeft = (at: number | null): number =>
  at === null ? 0 : Math.trunc((at - Date.now()) / 1_000);

function revokeAccessor(state: FakeState, accessor: string): Reply {
  const found = state.byAccessor(accessor);
  if (found === undefined) return ok({ warnings: ["No token found with this accessor"] });
  state.revokeToken(found.value);
  return done;
}

function lookUp(state: FakeState, id: string): Reply {
  state.expire();
  const lease = state.leases.get(id);
  if (lease === undefined) return refused(400, "invalid lease");
  const issued = new Date(lease.issuedAt).toISOString();
  return ok({ data: { id, issue_time: issued, ttl: secondsLeft(lease.expiresAt) } });
}

function givenUp({ irrevocable }: FakeState): object {
  const leases = [...irrevocable].map(([id, error]) => ({
    lease_id: id,
    mount_id: `${id.split("/")[0]}_0123abcd`,
    error,
  }));
  return { lease_count: leases.length, leases };
}

function revokeLease(state: FakeState, id: string, { sync }: Request["body"]): Reply {
  const lease = state.leases.get(id);
  if (sync === false) {
    if (lease !== undefined) state.revokeLazily(lease);
    return { status: 202 };
  }
  if (lease === undefined || state.revokeLease(lease)) return done;
  return refused(400, "1 error occurred:\n\t* failed to revoke entry\n\n");
}

function revokeCertificate({ certificates }: FakeEngine, serial: string): Reply {
  const found = certificates.get(serial);
  if (found === undefined) return refused(400, `certificate with serial ${serial} not found.`);
  found.revokedAt ||= Math.floor(Date.now() / 1_000);
  return ok({ data: { revocation_time: found.revokedAt } });
}

function readCertificate({ certificates }: FakeEngine, serial: string): Reply {
  const found = certificates.get(serial);
  return found === undefined ? refused(404) : ok({ data: { revocation_time: found.revokedAt } });
}

function revokePrefix(state: FakeState, prefix: string): Reply {
  for (const token of state.tokens.values()) {
    if (leaseIdOf(token).startsWith(prefix)) state.revokeToken(token.value);
  }
  return done;
}

/** Names directly below a path; those that have more below them end in a slash. */
function namesBelow(ids: readonly string[], path: string): readonly string[] {
  const names = ids
    .filter((id) => id.startsWith(path))
    .map((id) => {
      const [first = "", ...more] = id.slice(path.length).split("/");
      return more.length > 0 ? `${first}/` : first;
    });
  return [...new Set(names)];
}

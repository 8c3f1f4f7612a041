import { readFile } from "node:fs/promises";
import { systemClock, systemRandom } from "@mayfly/host";
import { createSealer, readKeyRing } from "@mayfly/seal";
import { bindingOf, parseBackendId } from "@mayfly/spec";
import { startTestOidcIssuer } from "@mayfly/testkit";
import {
  accepted,
  backendConfig,
  BACKEND,
  grantedOf,
  listAt,
  READER,
  type Exchange,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import { canary, tokenCanaries, type Canary } from "./canaries.ts";
import { askTokenEndpoints } from "./token-endpoints.ts";

/** What one run of everything left behind, to be searched. */
export interface Traces {
  readonly canaries: readonly Canary[];
  /** Replies that may carry a secret have it taken out, once, where it belongs. */
  readonly replies: readonly string[];
}

/** Goes through every path that a secret takes, the failing ones above all. */
export async function goEverywhere(mayfly: Installation, broker: RunningBroker): Promise<Traces> {
  const canaries: Canary[] = [];
  const replies: string[] = [];
  const note = (reply: Reply): Reply => {
    const headers = JSON.stringify([...reply.headers]);
    replies.push(`${headers}\n${withoutWhatBelongs(reply, canaries)}`);
    return reply;
  };
  const exchange = async (one: Exchange): Promise<Reply> => {
    canaries.push(...tokenCanaries(`subject token ${canaries.length}`, one.subject));
    return note(await broker.api.exchange(one));
  };
  await exchanges(mayfly, exchange, async (...call) => note(await broker.api.call(...call)));
  await administration(mayfly, canaries, async (...call) => note(await broker.api.admin(...call)));
  await administrators(
    mayfly,
    canaries,
    async (...call) => note(await broker.api.admin(...call)),
    async (...call) => note(await broker.api.call(...call)),
  );
  await standingSecret(
    mayfly,
    canaries,
    async (...call) => note(await broker.api.admin(...call)),
    exchange,
  );
  await askTokenEndpoints(mayfly, canaries, async (...sent) =>
    note(await broker.api.form(...sent)),
  );
  await rotation(mayfly, canaries, async (...call) => note(await broker.api.admin(...call)));
  canaries.push(
    ...(await configuredPasswords(mayfly)),
    canary("administrator's token", mayfly.adminToken),
    canary("the backend's configured password", mayfly.orders.password),
    canary("the broker's password", new URL(mayfly.ledgerDatabase.brokerUrl).password),
    canary("the worker's password", new URL(mayfly.ledgerDatabase.workerUrl).password),
    ...(await sealingKeys(mayfly)),
    ...(await signingKeys(mayfly)),
  );
  return { canaries, replies };
}

/** Of a login of its own: all installations of a run share the other one. */
async function rotation(mayfly: Installation, canaries: Canary[], admin: Admin): Promise<void> {
  const hex = (bytes: number): string => Buffer.from(systemRandom.bytes(bytes)).toString("hex");
  const [username, password] = [`rotated_${hex(6)}`, hex(24)];
  canaries.push(canary("the password before its rotation", password));
  await mayfly.customer.unsafe(`CREATE ROLE ${username} SUPERUSER LOGIN PASSWORD '${password}'`);
  const config = { ...backendConfig(mayfly.orders), username, password };
  const call = async (method: "PUT" | "POST", path: string, body: object): Promise<void> =>
    accepted(await admin(method, path, body), path);
  await call("PUT", "/v1/backends/rotated-db", { type: "postgres", config });
  await call("POST", "/v1/backends/rotated-db/rotate", {});
  await call("POST", "/v1/backends/rotated-db/test", {});
}

const details = (more: Record<string, unknown> = {}) => ({
  type: "mayfly-task",
  goal: "sing",
  deadline: "10m",
  credentials: [
    { role: READER, ttl: "5m" },
    { role: READER, issue: "later" },
  ],
  ...more,
});

type Call = RunningBroker["api"]["call"];
type Admin = RunningBroker["api"]["admin"];

async function exchanges(
  mayfly: Installation,
  exchange: (one: Exchange) => Promise<Reply>,
  call: Call,
): Promise<void> {
  const svid = mayfly.svid("bee");
  const granted = grantedOf(await exchange({ subject: svid, details: details() }));
  const { taskId, taskToken, lease } = granted;
  const keyed = { subject: mayfly.svid("key"), idempotencyKey: "canary" };
  await exchange({ ...keyed, details: details() });
  await exchange({ ...keyed, details: details() });
  await exchange({ ...keyed, details: details({ goal: "sing otherwise" }) });
  await exchange({ subject: mayfly.svid("mallory"), details: details() });
  await exchange({ subject: `${svid.slice(0, -8)}AAAAAAAA`, details: details() });
  await exchange({ subject: svid, details: details({ token: svid }) });
  await exchange({ subject: svid, details: details({ credentials: [{ role: "no-db/such" }] }) });
  await exchange({ subject: svid, actor: taskToken, details: details() });
  await exchange({ subject: taskToken, details: details() });
  const draw = { type: "mayfly-task", task: taskId, credentials: [{ role: READER }] };
  await exchange({ subject: taskToken, isTaskToken: true, details: draw });
  await exchange({ subject: svid, details: draw });
  await exchange({ subject: `${taskToken}x`, isTaskToken: true, details: draw });
  await call(taskToken, "POST", `/v1/tasks/${taskId}/heartbeat`, {});
  await call(taskToken, "GET", `/v1/tasks/${taskId}/chain`);
  await call(taskToken, "POST", `/v1/leases/${lease}/renew`, { ttl: "9m" });
  await call(taskToken, "POST", `/v1/leases/${lease}/renew`, { ttl: svid });
  await call(svid, "GET", `/v1/tasks/${taskId}`);
  await call(`${taskToken}${svid}`, "GET", `/v1/tasks/${taskId}`);
  await call(taskToken, "GET", `/v1/tasks/${taskToken}`);
  await call(taskToken, "PUT", "/v1/policies", { sources: [] });
  await call(taskToken, "POST", `/v1/tasks/${taskId}/complete`, { wait: 20 });
  await exchange({ subject: taskToken, isTaskToken: true, details: draw });
}

/** Configurations that are refused, each with a password of its own, and every listing. */
async function administration(
  mayfly: Installation,
  canaries: Canary[],
  admin: Admin,
): Promise<void> {
  const config = backendConfig(mayfly.orders);
  const put = async (name: string, change: Record<string, unknown>): Promise<void> => {
    const body = { type: "postgres", config: { ...config, ...change } };
    await admin("PUT", `/v1/backends/${name}`, body);
  };
  const wrong = (what: string): string => {
    const password = `canary/+ ${what} ${Buffer.from(systemRandom.bytes(12)).toString("hex")}`;
    canaries.push(canary(`the password of the ${what} configuration`, password));
    return password;
  };
  await put("wrong-password", { password: wrong("refused") });
  await put("wrong-port", { password: wrong("unreachable"), port: 1 });
  await put("unknown-key", { password: wrong("misspelt"), pasword: wrong("doubled") });
  await put("wrong-type", { password: [wrong("mistyped")] });
  await put(BACKEND, { call_seconds_max: 9 });
  await admin("POST", `/v1/backends/${BACKEND}/test`, {});
  await admin("PUT", "/v1/trust/odd", { kind: "oidc", config: { secret: wrong("trust") } });
  for (const path of ["backends", `backends/${BACKEND}`, "roles", "trust", "policies", "leases"]) {
    accepted(await admin("GET", `/v1/${path}`), path);
  }
  for (const path of ["tasks", "events", "ledger/counts"]) {
    accepted(await admin("GET", `/v1/${path}`), path);
  }
  accepted(await admin("GET", "/v1/tasks?limit=1"), "a page");
}

/** Who administers by OIDC: one whom policies allow it, one whom they do not, a stranger. */
async function administrators(
  mayfly: Installation,
  canaries: Canary[],
  admin: Admin,
  call: Call,
): Promise<void> {
  const login = await startTestOidcIssuer({ clock: systemClock, audience: mayfly.issuer });
  try {
    const config = {
      issuer: login.issuer,
      unsafe_allow_private_addresses: true,
      administrators: true,
    };
    const trusted = await admin("PUT", "/v1/trust/login", { kind: "oidc", config });
    accepted(trusted, "the administrators' issuer");
    const text = `@id("paula-manages")
      permit (
        principal == Workload::"${login.issuer}#paula", action in Action::"administer", resource
      );`;
    const sources = listAt(await admin("GET", "/v1/policies"), "sources");
    const added = [...sources, { name: "staff.cedar", text }];
    accepted(await admin("PUT", "/v1/policies", { sources: added }), "policies");
    for (const [sub, status] of [
      ["paula", 200],
      ["simon", 403],
    ] as const) {
      const token = login.token({ claims: { sub } });
      canaries.push(...tokenCanaries(`the administrator's token of ${sub}`, token));
      const listed = await call(token, "GET", "/v1/backends");
      if (listed.status !== status) throw new Error(`${sub} was answered ${listed.text}`);
      await call(token, "PUT", `/v1/trust/${sub}`, { kind: "oidc", config: { issuer: token } });
      await call(`${token.slice(0, -8)}AAAAAAAA`, "GET", "/v1/backends");
      await call(token, "GET", `/v1/leases/${token}`);
    }
    const stranger = login.token({ claims: { sub: "paula", aud: "https://elsewhere.test" } });
    canaries.push(...tokenCanaries("a stranger's administrator's token", stranger));
    await call(stranger, "GET", "/v1/backends");
  } finally {
    await login.close();
  }
}

/** A secret that exists already: refused, handed out once policy accepts it, and replaced. */
async function standingSecret(
  mayfly: Installation,
  canaries: Canary[],
  admin: Admin,
  exchange: (one: Exchange) => Promise<Reply>,
): Promise<void> {
  const role = "vendor-key/reports";
  const put = async (path: string, body: object): Promise<void> =>
    accepted(await admin("PUT", path, body), path);
  const register = (what: string): Promise<void> => {
    const secret = `canary/+ ${what} ${Buffer.from(systemRandom.bytes(12)).toString("hex")}`;
    canaries.push(canary(`the ${what} standing secret`, secret));
    // Under the name by which the reply's secret is taken out.
    const config = { secret, secret_name: "password" };
    return put("/v1/backends/vendor-key", { type: "static", config });
  };
  await register("first");
  await put(`/v1/roles/${role}`, {
    hands_out_a_secret_that_cannot_be_revoked: true,
    data_class: "confidential",
    reversibility: "irreversible",
    environment: "test",
  });
  const asked = { ...details(), credentials: [{ role }] };
  const subject = mayfly.svid("bee");
  // Every other role is permitted to it.
  const refused = await exchange({ subject, details: asked });
  if (refused.status === 200) throw new Error("a risk that nobody accepted was permitted");
  const text = `@id("bee-gets-the-vendor-key") @accepts("secret_outlives_the_lease")
    permit (principal, action == Action::"issue", resource == Role::"${role}");`;
  const sources = listAt(await admin("GET", "/v1/policies"), "sources");
  await put("/v1/policies", { sources: [...sources, { name: "vendor.cedar", text }] });
  accepted(await exchange({ subject, details: asked }), "an accepted risk");
  await register("second");
}

/** What backends are registered with now, whoever made it: unsealed here, as the broker does it. */
async function configuredPasswords(mayfly: Installation): Promise<readonly Canary[]> {
  const keys = await readKeyRing({ file: mayfly.sealingKeyFile });
  const sealer = createSealer({ keys, random: systemRandom });
  const rows = await mayfly.ledger<{ id: string; revision: number; sealed: Buffer }[]>`
    SELECT backend_id AS id, revision, sealed_config AS sealed FROM mayfly.backend_revisions
    WHERE backend_id IN (${BACKEND}, 'rotated-db')`;
  if (rows.length < 4) throw new Error("a rotation makes two revisions");
  const opened = await Promise.all(
    rows.map(async ({ id, revision, sealed }) => {
      const binding = bindingOf.backendConfig(parseBackendId(id, "id"), revision);
      return (await sealer.open(new Uint8Array(sealed), binding)).expose("crypto");
    }),
  );
  return opened.flatMap((text, index) =>
    [...text.matchAll(/"(?:previous_)?password":"([^"]+)"/g)].map(([, password = ""]) =>
      canary(`a password of revision ${index}`, password),
    ),
  );
}

/**
 * The reply without what it is for: `access_token`, and the `data` of each credential. Both are
 * canaries from then on.
 */
function withoutWhatBelongs(reply: Reply, canaries: Canary[]): string {
  if (reply.status !== 200) return reply.text;
  const count = canaries.length;
  return JSON.stringify(reply.body, (member, value: unknown) => {
    if (member === "access_token" && typeof value === "string") {
      canaries.push(...tokenCanaries(`task token ${count}`, value));
      return "taken out";
    }
    if (member === "credentials" && Array.isArray(value)) {
      return value.map((credential: unknown) => withoutData(credential, canaries));
    }
    return value;
  });
}

function withoutData(credential: unknown, canaries: Canary[]): unknown {
  // A task shows what it declared under the same name, and that holds no secret.
  if (typeof credential !== "object" || credential === null || !("data" in credential)) {
    return credential;
  }
  const { data, ...shown } = credential;
  const password = /"password":"([^"]+)"/.exec(JSON.stringify(data))?.[1];
  if (password === undefined) throw new Error("a credential was issued without a password");
  canaries.push(canary(`credential ${canaries.length}`, password));
  return shown;
}

async function sealingKeys(mayfly: Installation): Promise<readonly Canary[]> {
  const text = await readFile(mayfly.sealingKeyFile, "utf8");
  const keys = [...text.matchAll(/"key":\s*"([A-Za-z0-9+/=]+)"/g)];
  if (keys.length === 0) throw new Error("there is no key in the ring");
  return keys.map(([, key = ""], index) => ({
    name: `key ${index} of the sealing key ring`,
    bytes: Buffer.from(key, "base64"),
  }));
}

/** The private halves of the keys that sign task tokens: unsealed here, as the broker does it. */
async function signingKeys(mayfly: Installation): Promise<readonly Canary[]> {
  const keys = await readKeyRing({ file: mayfly.sealingKeyFile });
  const sealer = createSealer({ keys, random: systemRandom });
  const rows = await mayfly.ledger<{ kid: string; sealed: Buffer }[]>`
    SELECT kid, sealed_private_jwk AS sealed FROM mayfly.signing_keys`;
  if (rows.length === 0) throw new Error("there is no signing key");
  return Promise.all(
    rows.map(async ({ kid, sealed }) => {
      const opened = await sealer.open(new Uint8Array(sealed), bindingOf.signingKey(kid));
      const d = /"d":\s*"([A-Za-z0-9_-]+)"/.exec(opened.expose("crypto"))?.[1];
      if (d === undefined) throw new Error(`the signing key ${kid} has no private half`);
      return { name: `signing key ${kid}`, bytes: Buffer.from(d, "base64url") };
    }),
  );
}

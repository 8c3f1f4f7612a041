import { createPublicKey } from "node:crypto";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import {
  Secret,
  instantMs,
  parseId,
  plusSeconds,
  type PoolingHost,
  type CallContext,
  type Clock,
  type IssuePlan,
  type Issued,
  type OpenBackend,
} from "@mayfly/spec";
import {
  createRecordingLog,
  createTestBackendHost,
  createTestSigningKey,
  signCompact,
  startFakeTokenReviewApi,
} from "@mayfly/testkit";
import { CONTRACT_HOLDER, backendErrorOf, freshLeaseId, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startFakeVault, type FakeVault } from "./testing/fake-vault.ts";
import { startRealVault, type VaultServer } from "./testing/vault-server.ts";
import { TOKEN_ROLE, brokerToken, prepareVault } from "./testing/vault-upstream.ts";
import { createVaultBackend } from "./vault-backend.ts";

const program = await requireOrExplain("openbao");

/** Time goes on by itself, and further where a test says so. */
const time = { laterMs: 0 };
const clock: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() + time.laterMs,
};
const files = new Map<string, string>();
const POD_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const backend = createVaultBackend(async (path) => Secret.of(files.get(path) ?? ""));
const role = backend.parseRole(TOKEN_ROLE);

const hostOf = (): PoolingHost =>
  createTestBackendHost({
    clock,
    random: systemRandom,
    log: createRecordingLog(),
    apis: createOutboundApis(),
    installation: "contract",
    quarantineSeconds: 1,
  });
const call = (): CallContext => ({ clock, signal: new AbortController().signal, traceId: "login" });

const openAt = (server: VaultServer, more: object): OpenBackend => {
  const at = { host: server.host, port: server.port, tls: "unsafe_disable" };
  return backend.open(backend.parseConfig({ ...at, ...more }), hostOf());
};

function plan(asked = role): IssuePlan {
  return backend.plan({
    installation: hostOf().installation,
    leaseId: freshLeaseId(),
    expiresAt: plusSeconds(clock.now(), 60),
    role: asked,
    params: {},
    holder: CONTRACT_HOLDER,
  });
}
const issue = (open: OpenBackend, asked = role): Promise<Issued> =>
  open.issue(plan(asked), {
    ...call(),
    taskId: parseId("task", "task_0190a0b0c0d070008000000000000001", "task"),
    issueBy: instantMs(clock.now() + 10_000),
    checkpoint: async () => undefined,
  });
const tokenOf = ({ material }: Issued): string =>
  material["token"] instanceof Secret ? material["token"].expose("upstream") : "";

describe("the broker's own token", () => {
  const body = { role_id: "mayfly", secret_id: "canary-of-a-secret-id" };
  const login = { approle: body };
  let fake: FakeVault;
  beforeAll(async () => {
    fake = await startFakeVault();
    await prepareVault(fake);
    await brokerToken(fake, [hostOf()], [TOKEN_ROLE]);
    fake.logins.accept = { mount: "approle", body, seconds: 600 };
  });
  afterAll(() => fake.stop());
  const logins = async (work: () => Promise<unknown>): Promise<number> => {
    const before = fake.logins.count;
    await work();
    return fake.logins.count - before;
  };

  test("is got by one login, however many ask for it at once", async () => {
    const open = openAt(fake, { login });
    expect(await logins(() => Promise.all(Array.from({ length: 8 }, () => issue(open))))).toBe(1);
    await open.close();
  });

  test("is got anew at half of its life, before it ends", async () => {
    const open = openAt(fake, { login });
    await issue(open);
    time.laterMs += 299_000;
    expect(await logins(() => issue(open))).toBe(0);
    time.laterMs += 2_000;
    expect(await logins(() => issue(open))).toBe(1);
    await open.close();
  });

  test("is got anew once where it was revoked, and what was refused is done then", async () => {
    const open = openAt(fake, { login });
    await issue(open);
    for (const { value, path } of fake.state.tokens.values()) {
      if (path === "auth/approle/login") fake.state.revokeToken(value);
    }
    time.laterMs += 11_000;
    expect(await logins(() => issue(open))).toBe(1);
    await open.close();
  });

  test("is not got anew for each refusal where a right is missing", async () => {
    const open = openAt(fake, { login });
    await issue(open);
    fake.state.writePolicy("mayfly", "");
    time.laterMs += 11_000;
    const refused = async (): Promise<void> => {
      expect((await backendErrorOf(issue(open))).effect).toBe("none");
    };
    expect(await logins(refused)).toBe(1);
    expect(await logins(refused)).toBe(0);
    await brokerToken(fake, [hostOf()], [TOKEN_ROLE]);
    await open.close();
  });

  test("that a login refuses is an effect of none, without the secret that was sent", async () => {
    const wrong = { approle: { ...body, secret_id: "canary-that-is-wrong" } };
    const open = openAt(fake, { login: wrong });
    const error = await backendErrorOf(issue(open));
    expect(error.effect).toBe("none");
    expect(JSON.stringify([error.message, error.cause])).not.toContain("canary");
    const { problems } = await open.selfCheck([role], call());
    expect(problems.map(({ code }) => code)).toEqual(["login_refused"]);
    await open.close();
  });

  test("that a login refuses is not asked for again at once, so that nobody is locked out", async () => {
    const wrong = { approle: { ...body, secret_id: "canary-that-is-wrong" } };
    const open = openAt(fake, { login: wrong });
    const tries = async (): Promise<void> => {
      for (let turn = 0; turn < 5; turn++) await backendErrorOf(issue(open));
    };
    expect(await logins(tries)).toBe(1);
    time.laterMs += 5_001;
    expect(await logins(tries)).toBe(1);
    await open.close();
  });

  test("that was configured is renewed at half of its life, once", async () => {
    const token = await brokerToken(fake, [hostOf()], [TOKEN_ROLE]);
    const open = openAt(fake, { login: { token } });
    await issue(open);
    expect(fake.state.renewals).toBe(0);
    time.laterMs += 1_801_000;
    await Promise.all([issue(open), issue(open)]);
    expect(fake.state.renewals).toBe(1);
    await open.close();
  });

  test("by a platform's file is asked for with what the file holds at that time", async () => {
    const open = openAt(fake, { login: { kubernetes: { role: "mayfly" } } });
    for (const jwt of ["first", "second"]) {
      files.set(POD_TOKEN, jwt);
      const accepted = { role: "mayfly", jwt };
      fake.logins.accept = { mount: "kubernetes", body: accepted, seconds: 600 };
      expect(await logins(() => issue(open))).toBe(1);
      time.laterMs += 301_000;
    }
    fake.logins.accept = { mount: "approle", body, seconds: 600 };
    await open.close();
  });
});

async function appRole(server: VaultServer): Promise<object> {
  const path = "auth/approle/role/mayfly";
  const id = (await server.api("GET", `${path}/role-id`)) as { data: { role_id: string } };
  const secret = (await server.api("POST", `${path}/secret-id`)) as { data: { secret_id: string } };
  return { role_id: id.data.role_id, secret_id: secret.data.secret_id };
}

describe.runIf(program !== undefined)("on OpenBao", () => {
  let server: VaultServer;
  beforeAll(async () => {
    server = await startRealVault();
    await prepareVault(server);
    await brokerToken(server, [hostOf()], [TOKEN_ROLE]);
  });
  afterAll(() => server.stop());

  /** How a token of its own reads before its end and after it, and what the probe says then. */
  async function lifeAt(open: OpenBackend, namespace = ""): Promise<readonly unknown[]> {
    const { problems } = await open.selfCheck([role], call());
    const issued = await issue(open);
    const path = `${namespace}secret/data/orders`;
    const before = await server.as(tokenOf(issued), "GET", path);
    await revoking(open).revoke(issued.handle, call());
    const after = await server.as(tokenOf(issued), "GET", path);
    const { verdict } = await revoking(open).probe(issued.handle, call());
    await open.close();
    return [...problems, before.status, after.status, verdict];
  }
  const WHOLE = [200, 403, "refused"];

  test("an AppRole logs in, mints and ends", async () => {
    await server.api("POST", "sys/auth/approle", { type: "approle" });
    await server.api("POST", "auth/approle/role/mayfly", { token_policies: "mayfly" });
    const approle = await appRole(server);
    const open = openAt(server, { login: { approle } });
    expect(await lifeAt(open)).toEqual(WHOLE);
    // A child of its token would have its identity, and with that what hangs on the identity.
    const child = backend.parseRole({ token: { ...TOKEN_ROLE.token, orphan: false } });
    const refused = await backendErrorOf(issue(openAt(server, { login: { approle } }), child));
    expect(refused.message).toContain("the identity of the broker's login");
    await open.close();
  });

  test("a signed token in a file logs in, mints and ends", async () => {
    const key = createTestSigningKey("key-1");
    const pem = createPublicKey(key.privateKey).export({
      type: "spki",
      format: "pem",
    });
    await server.api("POST", "sys/auth/jwt", { type: "jwt" });
    await server.api("POST", "auth/jwt/config", { jwt_validation_pubkeys: [pem] });
    await server.api("POST", "auth/jwt/role/mayfly", {
      role_type: "jwt",
      user_claim: "sub",
      bound_audiences: ["vault"],
      token_policies: "mayfly",
    });
    const now = Math.floor(Date.now() / 1_000);
    const claims = { sub: "mayfly", aud: "vault", iat: now, exp: now + 300 };
    const file = "/var/run/secrets/mayfly-backends/token";
    files.set(file, signCompact(key, { alg: "ES256", kid: "key-1" }, claims));
    expect(await lifeAt(openAt(server, { login: { jwt: { role: "mayfly", file } } }))).toEqual(
      WHOLE,
    );
  });

  test("a pod's token logs in, mints and ends, while the API server knows its bearer", async () => {
    const key = createTestSigningKey("pod");
    const now = Math.floor(Date.now() / 1_000);
    const podTokenOf = (name: string): string =>
      signCompact(
        key,
        { alg: "ES256", kid: "pod" },
        {
          iss: "https://kubernetes.default.svc.cluster.local",
          sub: `system:serviceaccount:mayfly:${name}`,
          aud: ["vault"],
          iat: now,
          nbf: now,
          exp: now + 600,
          "kubernetes.io": { namespace: "mayfly", serviceaccount: { name, uid: `uid-of-${name}` } },
        },
      );
    const [broker, reviewer] = [podTokenOf("broker"), podTokenOf("reviewer")];
    const reviews = await startFakeTokenReviewApi({ clock: systemClock, bearer: reviewer });
    try {
      await server.api("POST", "sys/auth/kubernetes", { type: "kubernetes" });
      await server.api("POST", "auth/kubernetes/config", {
        kubernetes_host: reviews.origin,
        kubernetes_ca_cert: reviews.ca,
        token_reviewer_jwt: reviewer,
      });
      await server.api("POST", "auth/kubernetes/role/mayfly", {
        bound_service_account_names: ["broker"],
        bound_service_account_namespaces: ["mayfly"],
        audience: "vault",
        token_policies: "mayfly",
      });
      const username = "system:serviceaccount:mayfly:broker";
      reviews.know(broker, { username, uid: "uid-of-broker", audiences: ["vault"] });
      files.set(POD_TOKEN, broker);
      const login = { kubernetes: { role: "mayfly" } };
      expect(await lifeAt(openAt(server, { login }))).toEqual(WHOLE);
      expect(reviews.reviews).toBe(1);
      // Its pod is deleted: the token is as good as before, and nobody's.
      reviews.forget(broker);
      const open = openAt(server, { login });
      expect((await backendErrorOf(issue(open))).effect).toBe("none");
      const { problems } = await open.selfCheck([role], call());
      expect(problems.map(({ code }) => code)).toEqual(["login_refused"]);
      await open.close();
    } finally {
      await reviews.close();
    }
  });

  test("in a namespace all of it happens there, and nothing in the root", async () => {
    await server.api("POST", "sys/namespaces/agents", {});
    const there: VaultServer = {
      ...server,
      api: (method, path, given) => server.api(method, `agents/${path}`, given),
    };
    await there.api("POST", "sys/mounts/secret", { type: "kv", options: { version: "2" } });
    await prepareVault(there);
    await brokerToken(there, [hostOf()], [TOKEN_ROLE]);
    await there.api("POST", "sys/auth/approle", { type: "approle" });
    await there.api("POST", "auth/approle/role/mayfly", { token_policies: "mayfly" });
    const approle = await appRole(there);
    const open = openAt(server, { namespace: "agents", login: { approle } });
    expect(await lifeAt(open, "agents/")).toEqual(WHOLE);
    const elsewhere = openAt(server, { login: { approle } });
    expect((await backendErrorOf(issue(elsewhere))).effect).toBe("none");
    await elsewhere.close();
  });

  test("a sealed server issues nothing and ends nothing, and says so", async () => {
    const token = await brokerToken(server, [hostOf()], [TOKEN_ROLE]);
    const open = openAt(server, { login: { token } });
    const issued = await issue(open);
    await server.api("POST", "sys/seal");
    expect((await backendErrorOf(issue(open))).message).toContain("sealed");
    const revokeError = await backendErrorOf(revoking(open).revoke(issued.handle, call()));
    expect(revokeError.message).toContain("sealed");
    const { problems } = await open.selfCheck([role], call());
    expect(problems.map(({ code }) => code)).toEqual(["sealed"]);
    await open.close();
  });
});

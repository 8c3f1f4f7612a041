import { readFile } from "node:fs/promises";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import { BackendError, type JsonObject, type OpenBackend, type Secret } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";
import { backendErrorOf } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LOGIN_ROTATION } from "./login-rotation.ts";
import { startFakeVault } from "./testing/fake-vault.ts";
import { startRealVault, type VaultServer } from "./testing/vault-server.ts";
import { ROTATING, TOKEN_ROLE, brokerToken, prepareVault } from "./testing/vault-upstream.ts";
import { vaultBackend } from "./vault-backend.ts";

const program = await requireOrExplain("openbao");

const host = createTestBackendHost({
  clock: systemClock,
  random: systemRandom,
  log: createRecordingLog(),
  apis: createOutboundApis(),
});
const call = () => ({
  clock: systemClock,
  signal: new AbortController().signal,
  traceId: "rotation",
});

async function using<T>(config: JsonObject, run: (open: OpenBackend) => Promise<T>): Promise<T> {
  const open = vaultBackend.open(vaultBackend.parseConfig(config), host);
  try {
    return await run(open);
  } finally {
    await open.close();
  }
}
const letsIn = (config: JsonObject): Promise<boolean> =>
  using(config, async (open) => {
    try {
      const role = vaultBackend.parseRole(TOKEN_ROLE);
      return (await open.selfCheck([role], call())).problems.length === 0;
    } catch (error) {
      if (BackendError.isBackendError(error)) return false;
      throw error;
    }
  });
const begin = (config: JsonObject): JsonObject =>
  LOGIN_ROTATION.begin(config, systemRandom, systemClock.now());
const obtain = (config: JsonObject): Promise<Secret | null> =>
  using(config, async ({ obtainSecret }) => (await obtainSecret?.(call())) ?? null);
const adopt = (config: JsonObject): Promise<void> =>
  using(config, async ({ adoptSecret }) => adoptSecret?.(call()));

interface Subject {
  readonly server: VaultServer;
  /** Another secret id of the AppRole, bound to a team. */
  secretId(): Promise<string>;
  readonly roleId: string;
  /** What a secret id is bound to; null: there is none. */
  lookUp(secretId: unknown): Promise<unknown>;
}

async function onFake(): Promise<Subject> {
  const server = await startFakeVault();
  const secretIds = new Map<string, object>();
  server.logins.appRole = { roleId: "mayfly", secretIds };
  let made = 0;
  return {
    server,
    roleId: "mayfly",
    secretId: async () => {
      const id = `canary-of-secret-id-${(made += 1)}`;
      secretIds.set(id, { metadata: { team: "a" } });
      return id;
    },
    lookUp: async (id) => secretIds.get(String(id)) ?? null,
  };
}

async function onOpenBao(): Promise<Subject> {
  const server = await startRealVault();
  const at = "auth/approle/role/mayfly";
  await server.api("POST", "sys/auth/approle", { type: "approle" });
  await server.api("POST", at, { token_policies: "mayfly", role_id: "mayfly" });
  return {
    server,
    roleId: "mayfly",
    secretId: async () => {
      const sent = { metadata: '{"team":"a"}', cidr_list: ["127.0.0.1/32"] };
      const answer = await server.api("POST", `${at}/secret-id`, sent);
      return (answer as { readonly data: { readonly secret_id: string } }).data.secret_id;
    },
    lookUp: async (id) => {
      const answer = await server.api("POST", `${at}/secret-id/lookup`, { secret_id: id });
      return (answer as { readonly data: unknown } | null)?.data ?? null;
    },
  };
}

describe.each([
  ["the fake", true, onFake],
  ["OpenBao", program !== undefined, onOpenBao],
] as const)("the broker's own login on %s", (_, isThere, start) => {
  describe.runIf(isThere)("where there is one", () => {
    let subject: Subject;
    const configOf = (login: object): JsonObject =>
      vaultBackend.parseConfig({
        host: subject.server.host,
        port: subject.server.port,
        tls: "unsafe_disable",
        login,
      });
    const allow = async (more: string): Promise<string> =>
      brokerToken(subject.server, [host], [TOKEN_ROLE], (policy) => policy + more);
    beforeAll(async () => {
      subject = await start();
      await prepareVault(subject.server);
      await allow(ROTATING);
    });
    afterAll(() => subject.server.stop());
    const letIn = (...configs: readonly JsonObject[]): Promise<readonly boolean[]> =>
      Promise.all(configs.map(letsIn));
    const byAppRole = async (): Promise<JsonObject> =>
      configOf({ approle: { role_id: subject.roleId, secret_id: await subject.secretId() } });
    const secretIdIn = (config: JsonObject): unknown => {
      const { approle } = config["login"] as { readonly approle: { readonly secret_id: string } };
      return approle.secret_id;
    };

    test("a secret id is replaced by one that Mayfly makes, bound as the old one was", async () => {
      const before = await byAppRole();
      const both = begin(before);
      const after = LOGIN_ROTATION.finish(both);
      expect(await obtain(both)).toBeNull();
      expect(await letIn(before, both, after)).toEqual([true, true, false]);
      await adopt(both);
      // As after a crash before it was noted: again, and by the new one.
      await adopt(both);
      expect(await letIn(before, both, after)).toEqual([false, true, true]);
      expect(await subject.lookUp(secretIdIn(after))).toMatchObject({ metadata: { team: "a" } });
      expect(await subject.lookUp(secretIdIn(before))).toBeNull();
    });

    test("a secret id that was registered before a crash is taken as it is", async () => {
      const before = await byAppRole();
      const both = begin(before);
      const at = "auth/approle/role/mayfly/custom-secret-id";
      await subject.server.api("POST", at, { secret_id: secretIdIn(both) });
      expect(await letIn(before, both, LOGIN_ROTATION.finish(both))).toEqual([true, true, true]);
      await adopt(both);
      expect(await letIn(before, both)).toEqual([false, true]);
    });

    test("a token role that makes tokens to die with is refused, and they are revoked", async () => {
      await subject.server.api("POST", "auth/token/roles/dying", {
        allowed_policies: "mayfly",
        orphan: true,
        renewable: false,
      });
      const more = 'path "auth/token/create/dying" { capabilities = ["update"] }\n';
      const own = await allow(ROTATING + more);
      const begun = begin(configOf({ token: own, token_role: "dying" }));
      const error = await backendErrorOf(obtain(begun));
      expect(error.message).toContain("token_period");
      const made = "sys/leases/lookup/auth/token/create/dying/?list=true";
      expect((await subject.server.asRoot("GET", made)).status).toBe(404);
      expect(await letsIn(begun)).toBe(true);
    });

    test("without the rights for it nothing changes, and the error says where they are", async () => {
      await allow("");
      const before = await byAppRole();
      const both = begin(before);
      const error = await backendErrorOf(adopt(both));
      expect(error).toMatchObject({ effect: "none", retry: { kind: "never" } });
      expect(error.message).toContain("docs/backends/vault.md");
      expect(await letIn(before, both)).toEqual([true, true]);
      await allow(ROTATING);
      await adopt(both);
      expect(await letIn(before, both)).toEqual([false, true]);
    });
  });
});

test("the type's page has the rights that these tests give the broker", async () => {
  const page = new URL("../../../docs/backends/vault.md", import.meta.url);
  expect(await readFile(page, "utf8")).toContain(`\`\`\`hcl${ROTATING}\`\`\``);
});

test.each([
  [{ token: "canary" }, "login.token_role"],
  [{ kubernetes: { role: "mayfly" } }, "its platform writes into a file"],
])("what Mayfly cannot replace is no secret of a rotation: %o", (login, words) => {
  const config = vaultBackend.parseConfig({ host: "vault.test", login });
  expect(LOGIN_ROTATION.obstacle(config)).toContain(words);
});

test.each([
  ["a secret id", { approle: { role_id: "mayfly", secret_id: "canary" } }, true],
  ["another secret id", { approle: { role_id: "mayfly", secret_id: "other" } }, false],
  ["a token", { token: "canary" }, true],
  ["another token, while it is replaced", { token: "other", previous_token: "canary" }, true],
  ["a file's token", { kubernetes: { role: "mayfly" } }, false],
])("two backends that log in by %s share it or not: %#", (_, login, isShared) => {
  const known = (given: object) => ({
    config: vaultBackend.parseConfig({ host: "vault.test", login: given }),
    upstreamIdentity: "vault",
  });
  const own = "approle" in login ? { role_id: "mayfly", secret_id: "canary" } : null;
  const mine = known(own === null ? { token: "canary" } : { approle: own });
  expect(LOGIN_ROTATION.sharesLogin(mine, known(login))).toBe(isShared);
});

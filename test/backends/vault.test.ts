import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startOpenbao, type EmbeddedOpenbao } from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import {
  accepted,
  at,
  BRIEF_ISSUE,
  startInstallation,
  textAt,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

const hasOpenbao = await isInstalled("openbao");
/** `yes` for what waits two minutes, as long as the server may go on with a request. */
const hasTime = process.env["VAULT_TEST_KILLS"] === "yes";
const RECOVER_MS_MAX = 240_000;
const END_MS_MAX = 120_000;
const ROLE = {
  description: "Orders, to look at",
  ttl_max: "30m",
  data_class: "internal",
  reversibility: "read_only",
  environment: "test",
};

/** Tokens, accounts and certificates of a real OpenBao, from the exchange to the refusal. */
describe.skipIf(!hasOpenbao)("one task with leases of OpenBao", () => {
  let mayfly: Installation;
  let broker: RunningBroker;
  let bao: EmbeddedOpenbao;

  beforeAll(async () => {
    const started = await startOpenbao();
    if (started.missing !== undefined) throw new TypeError("isInstalled said that it is there");
    bao = started;
    mayfly = await startInstallation();
    broker = await mayfly.startBroker();
    await mayfly.startWorker();
    await mayfly.register(broker);
    await manage("POST", "secret/data/orders", { data: { total: 3 } });
    await manage("POST", "sys/policies/acl/orders", {
      policy: 'path "secret/data/orders" { capabilities = ["read"] }',
    });
    await manage("POST", "sys/policies/acl/pki-agents", {
      policy: 'path "pki/issue/agents" { capabilities = ["update"] }',
    });
    await manage("POST", "sys/mounts/pki", { type: "pki" });
    await manage("POST", "pki/root/generate/internal", { common_name: "Agents", ttl: "24h" });
    await manage("POST", "pki/roles/agents", {
      allowed_domains: "agents.test",
      allow_subdomains: true,
      max_ttl: "1h",
    });
    await put("/v1/backends/vault", {
      type: "vault",
      config: {
        host: bao.host,
        port: bao.port,
        tls: "unsafe_disable",
        login: { token: bao.rootToken },
      },
    });
    await put("/v1/roles/vault/orders", { token: { policies: ["orders"] }, ...ROLE });
    await put("/v1/roles/vault/certificate", {
      unleased: {
        path: "pki/issue/agents",
        method: "write",
        policies: ["pki-agents"],
        parameters: { common_name: { like: "*.agents.test" } },
        ttl_parameter: "ttl",
        revoke_path: "pki/revoke",
        secret: "private_key",
        shown: ["certificate", "serial_number"],
      },
      ...ROLE,
    });
  });
  afterAll(async () => {
    await mayfly?.[Symbol.asyncDispose]();
    await bao?.stop();
  });

  async function put(path: string, body: object): Promise<void> {
    accepted(await broker.api.admin("PUT", path, body), path);
  }
  async function asked(token: string, method: string, path: string, body?: object) {
    return fetch(`http://${bao.host}:${bao.port}/v1/${path}`, {
      method,
      headers: { "x-vault-token": token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
  async function manage(method: string, path: string, body?: object): Promise<unknown> {
    const answer = await asked(bao.rootToken, method, path, body);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  }
  const open = (
    ref: string,
    credentials: readonly object[],
    by: RunningBroker = broker,
  ): Promise<Reply> =>
    by.api.exchange({
      subject: mayfly.svid("worker-bee"),
      details: { type: "mayfly-task", goal: "look at an order", ref, deadline: "10m", credentials },
    });
  const complete = async (reply: Reply): Promise<void> => {
    const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
    accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
  };
  const leaseOf = (reply: Reply): Promise<Reply> =>
    broker.api.admin("GET", `/v1/leases/${textAt(reply, "credentials", 0, "lease")}`);

  test("a token reads what its policy allows until the task is completed, and is revoked", async () => {
    const reply = await open("token", [{ role: "vault/orders", ttl: "10m" }]);
    const token = textAt(reply, "credentials", 0, "data", "token");
    const read = async (): Promise<number> =>
      (await asked(token, "GET", "secret/data/orders")).status;
    expect(await read()).toBe(200);
    await complete(reply);
    await until("the lease to be revoked", END_MS_MAX, async () => {
      return at(await leaseOf(reply), "outcome") === "revoked";
    });
    expect(await read()).toBe(403);
  });

  test("a certificate is on its CA's list when its task ends, and its lease says until when it lives", async () => {
    const reply = await open("certificate", [
      {
        role: "vault/certificate",
        ttl: "10m",
        params: { parameters: { common_name: "bee.agents.test" } },
      },
    ]);
    const serial = textAt(reply, "credentials", 0, "data", "serial_number");
    const revokedAt = async (): Promise<unknown> => {
      const answer = (await manage("GET", `pki/cert/${serial}`)) as {
        data: { revocation_time: number };
      };
      return answer.data.revocation_time;
    };
    expect(await revokedAt()).toBe(0);
    await complete(reply);
    await until("the certificate to be on the list", END_MS_MAX, async () => {
      return (await revokedAt()) !== 0;
    });
    await until("the lease to say until when", END_MS_MAX, async () => {
      return (await leaseOf(reply)).text.includes('"propagating"');
    });
  });

  test.skipIf(!hasTime)(
    "a broker that is killed while it issues leaves no token and no token role",
    async () => {
      await Promise.all(
        ["issue.before", "issue.after"].map(async (point) => {
          const settings = { ...BRIEF_ISSUE, MAYFLY_UNSAFE_FAIL_POINT: `${point}=kill` };
          const doomed = await mayfly.startBroker(settings);
          await open(point, [{ role: "vault/orders", ttl: "10m" }], doomed).catch(() => undefined);
          await doomed.exited;
        }),
      );
      const left = await mayfly.ledger<{ hex: string }[]>`
        SELECT replace(id::text, '-', '') AS hex FROM mayfly.leases
        WHERE backend_id = 'vault' AND state = 'reserved'`;
      expect(left).toHaveLength(2);
      const named = async (path: string): Promise<number> => {
        const there = await (await asked(bao.rootToken, "GET", `${path}?list=true`)).text();
        return left.filter(({ hex }) => there.includes(hex)).length;
      };
      const places = ["sys/leases/lookup/auth/token/create/", "auth/token/roles"] as const;
      // Of the one that was killed afterwards.
      expect(await Promise.all(places.map(named))).toEqual([1, 1]);
      await until("both leases to be ended", RECOVER_MS_MAX, async () => {
        const replies = left.map(({ hex }) => broker.api.admin("GET", `/v1/leases/lease_${hex}`));
        return (await Promise.all(replies)).every((reply) => at(reply, "state") === "ended");
      });
      expect(await Promise.all(places.map(named))).toEqual([0, 0]);
    },
    RECOVER_MS_MAX,
  );
});

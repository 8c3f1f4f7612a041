import { requireOrExplain } from "@mayfly/embedded";
import { Secret, type IssuePlan } from "@mayfly/spec";
import { revoking, type BackendBench } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { startRealVault, type VaultServer } from "./testing/vault-server.ts";
import {
  TOKEN_ROLE,
  prepareVault,
  startVaultBench,
  startVaultUpstream,
  useToken,
} from "./testing/vault-upstream.ts";

const program = await requireOrExplain("openbao");

const READS = 'path "secret/data/orders" { capabilities = ["read"] }';
const MAKES = ["auth/token/create", "auth/token/create/orphans"].map(
  (path) => `path "${path}" { capabilities = ["update"] }`,
);
const ORPHANS = 'path "auth/token/create-orphan" { capabilities = ["update", "sudo"] }';
const LOGS_IN = `path "auth/approle/role/orders/secret-id" { capabilities = ["update"] }
  path "auth/approle/role/orders/role-id" { capabilities = ["read"] }`;

const made = z.object({ auth: z.object({ client_token: z.string() }) });
const wrapped = z.object({ wrap_info: z.object({ token: z.string() }) });
const idOf = z.object({ data: z.record(z.string(), z.unknown()) });

describe.runIf(program !== undefined)("what a token of a lease makes, on OpenBao", () => {
  let server: VaultServer;
  let bench: BackendBench;
  let stop: () => Promise<void> = () => Promise.resolve();
  const writePolicy = (...parts: readonly string[]) =>
    server.api("POST", "sys/policies/acl/orders", { policy: parts.join("\n") });
  beforeAll(async () => {
    server = await startRealVault();
    await prepareVault(server);
    const orphans = { orphan: true, allowed_policies: ["orders"] };
    await server.api("POST", "auth/token/roles/orphans", orphans);
    await server.api("POST", "sys/auth/approle", { type: "approle" });
    await server.api("POST", "auth/approle/role/orders", { token_policies: ["orders"] });
    const use = useToken(server);
    const started = await startVaultBench(
      await startVaultUpstream(server, { role: TOKEN_ROLE, use }),
    );
    ({ bench } = started);
    stop = () => started.stop();
  });
  afterAll(() => stop());

  const makeBy = async (token: string, path: string, more: object = {}): Promise<string> => {
    const wanted = { policies: ["orders"], ttl: "1h", ...more };
    const { status, body } = await server.as(token, "POST", path, wanted);
    expect(status, path).toBe(200);
    return made.parse(body).auth.client_token;
  };
  async function logInBy(token: string): Promise<string> {
    const role = "auth/approle/role/orders";
    const secret = idOf.parse((await server.as(token, "POST", `${role}/secret-id`, {})).body);
    const name = idOf.parse((await server.as(token, "GET", `${role}/role-id`)).body);
    const ids = { role_id: name.data["role_id"], secret_id: secret.data["secret_id"] };
    return made.parse((await server.as("", "POST", "auth/approle/login", ids)).body).auth
      .client_token;
  }
  async function tokenOf(plan: IssuePlan): Promise<string> {
    const { token } = (await bench.open.issue(plan, bench.issueCall())).material;
    if (!(token instanceof Secret)) throw new Error("no token");
    return token.expose("upstream");
  }
  const read = async (token: string): Promise<number> =>
    (await server.as(token, "GET", "secret/data/orders")).status;

  test("ends with it where it has a parent, and goes on where it has none", async () => {
    await writePolicy(READS, ...MAKES, ORPHANS, LOGS_IN);
    const { material, handle } = await bench.open.issue(bench.plan(), bench.issueCall());
    const own = material["token"];
    if (!(own instanceof Secret)) throw new Error("no token");
    const token = own.expose("upstream");
    const child = await makeBy(token, "auth/token/create");
    const below = [
      token,
      child,
      await makeBy(child, "auth/token/create"),
      await makeBy(token, "auth/token/create", { type: "batch" }),
    ];
    const beside = [
      await makeBy(token, "auth/token/create-orphan"),
      await makeBy(token, "auth/token/create/orphans"),
      await logInBy(token),
    ];
    for (const one of [...below, ...beside]) expect(await read(one)).toBe(200);
    await revoking(bench.open).revoke(handle, bench.call());
    expect((await revoking(bench.open).probe(handle, bench.call())).verdict).toBe("refused");
    for (const one of below) expect(await read(one)).toBe(403);
    for (const one of beside) expect(await read(one)).toBe(200);
  });

  test("and had wrapped can be read once after the end, of which a token is dead", async () => {
    await writePolicy(READS, ...MAKES);
    const { material, handle } = await bench.open.issue(bench.plan(), bench.issueCall());
    const own = material["token"];
    if (!(own instanceof Secret)) throw new Error("no token");
    const token = own.expose("upstream");
    const wrap = { "x-vault-wrap-ttl": "300s" };
    const order = await server.as(token, "GET", "secret/data/orders", undefined, wrap);
    const wanted = { policies: ["orders"], ttl: "1h" };
    const child = await server.as(token, "POST", "auth/token/create", wanted, wrap);
    await revoking(bench.open).revoke(handle, bench.call());
    const unwrap = ({ body }: { readonly body: unknown }) =>
      server.as(wrapped.parse(body).wrap_info.token, "POST", "sys/wrapping/unwrap");
    expect((await unwrap(order)).body).toMatchObject({ data: { data: { total: 3 } } });
    expect((await unwrap(order)).status).toBe(400);
    expect(await read(made.parse((await unwrap(child)).body).auth.client_token)).toBe(403);
  });

  test("with one policy less may do more, so that a role says which may be left out", async () => {
    await writePolicy(READS);
    const deny = 'path "secret/data/orders" { capabilities = ["deny"] }';
    await server.api("POST", "sys/policies/acl/stock", { policy: deny });
    const whole = bench.plan();
    expect(whole.grant).toMatchObject({ policies: ["orders", "stock"] });
    expect(await read(await tokenOf(whole))).toBe(403);
    const { grant, ...less } = bench.plan();
    const one = { ...less, grant: { ...grant, policies: ["orders"] } };
    expect(await read(await tokenOf(one))).toBe(200);
  });

  test("is tried by the check, which refuses policies that make tokens without a parent", async () => {
    const check = async () => {
      const role = bench.backend.parseRole(TOKEN_ROLE);
      return (await bench.open.selfCheck([role], bench.call())).problems.map(({ code }) => code);
    };
    await writePolicy(READS, ...MAKES);
    expect(await check()).toEqual([]);
    await writePolicy(READS, ...MAKES, ORPHANS);
    expect(await check()).toEqual(["policies_make_orphans"]);
  });
});

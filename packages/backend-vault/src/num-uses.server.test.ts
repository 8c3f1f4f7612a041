import { requireOrExplain } from "@mayfly/embedded";
import { Secret, plusSeconds } from "@mayfly/spec";
import {
  CONTRACT_HOLDER,
  freshLeaseId,
  revoking,
  type BackendBench,
} from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startFakeVault } from "./testing/fake-vault.ts";
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
const MAKES = 'path "auth/token/create" { capabilities = ["update"] }';

interface Held {
  readonly externalName: string;
  readonly token: string;
  readonly handle: Secret;
}

describe("on the fake", () => {
  describeUses(startFakeVault);
});
describe.runIf(program !== undefined)("on OpenBao", () => {
  describeUses(startRealVault);
});

function describeUses(start: () => Promise<VaultServer>): void {
  let server: VaultServer;
  let bench: BackendBench;
  let stop: () => Promise<void> = () => Promise.resolve();
  beforeAll(async () => {
    server = await start();
    await prepareVault(server);
    await server.api("POST", "sys/policies/acl/stock", { policy: `${READS}\n${MAKES}` });
    const use = useToken(server);
    const role = { token: { ...TOKEN_ROLE.token, num_uses: 5 } };
    const upstream = await startVaultUpstream(server, { role, use });
    const config = { ...(upstream.config as object), call_seconds_max: 30 };
    const started = await startVaultBench({ ...upstream, config });
    ({ bench } = started);
    stop = () => started.stop();
  });
  afterAll(() => stop());

  const parsedRole = () => bench.backend.parseRole(bench.upstream.role);
  async function issue(params: object): Promise<Held> {
    const plan = bench.backend.plan({
      installation: bench.host.installation,
      leaseId: freshLeaseId(),
      expiresAt: plusSeconds(bench.upstream.clock.now(), 600),
      role: parsedRole(),
      params: bench.backend.parseParams(params),
      holder: CONTRACT_HOLDER,
    });
    const issued = await bench.open.issue(plan, bench.issueCall({ seconds: 60 }));
    const { token } = issued.material;
    if (!(token instanceof Secret)) throw new Error("no token");
    const { externalName } = plan;
    return { externalName, token: token.expose("upstream"), handle: issued.handle };
  }
  async function endOf({ handle }: Held): Promise<void> {
    const open = revoking(bench.open);
    expect((await open.revoke(handle, bench.call())).outcome).toBe("refused");
    expect((await open.probe(handle, bench.call())).verdict).toBe("refused");
  }
  const read = async (token: string): Promise<number> =>
    (await server.as(token, "GET", "secret/data/orders")).status;

  test("a token is good for as many requests as were asked for, and no look of ours is one", async () => {
    const held = await issue({ num_uses: 3 });
    for (let used = 0; used < 3; used++) {
      const open = revoking(bench.open);
      expect((await open.probe(held.handle, bench.call())).verdict).toBe("accepted");
      expect((await bench.open.selfCheck([parsedRole()], bench.call())).problems).toEqual([]);
      if (bench.open.listing.kind === "none") throw new Error("no listing");
      const { marked } = await bench.open.listing.list(null, bench.call());
      expect(marked.map(({ externalName }) => externalName)).toContain(held.externalName);
      expect(await read(held.token)).toBe(200);
    }
    expect(await read(held.token)).toBe(403);
    await endOf(held);
  });

  test("who asks for none has the role's", async () => {
    const held = await issue({});
    const answers: number[] = [];
    for (let asked = 0; asked < 6; asked++) answers.push(await read(held.token));
    expect(answers).toEqual([200, 200, 200, 200, 200, 403]);
    await endOf(held);
  });

  test("a request that the server refuses is counted too", async () => {
    const held = await issue({ num_uses: 2 });
    const denied = await server.as(held.token, "GET", "auth/token/roles?list=true");
    expect(denied.status).toBe(403);
    expect(await read(held.token)).toBe(200);
    expect(await read(held.token)).toBe(403);
    await endOf(held);
  });

  test("of many requests at once no more are let through, and none afterwards", async () => {
    const held = await issue({ num_uses: 2 });
    const answers = await Promise.all(Array.from({ length: 24 }, () => read(held.token)));
    const letThrough = answers.filter((status) => status === 200).length;
    expect(letThrough).toBeGreaterThan(0);
    expect(letThrough).toBeLessThanOrEqual(2);
    expect(await read(held.token)).toBe(403);
    await endOf(held);
  });

  test("such a token makes no other, which would be good for more", async () => {
    const held = await issue({ policies: ["stock"] });
    const wanted = { policies: ["stock"], ttl: "1m" };
    const made = await server.as(held.token, "POST", "auth/token/create", wanted);
    expect(made.status).toBe(400);
    expect(await read(held.token)).toBe(200);
    await endOf(held);
  });
}

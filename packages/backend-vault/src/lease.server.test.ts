import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { fileURLToPath } from "node:url";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { plusSeconds, type IssuePlan } from "@mayfly/spec";
import { killMint } from "@mayfly/testkit";
import { CONTRACT_HOLDER, backendErrorOf, freshLeaseId, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startFakeEngine, startRealEngine, type EngineBench } from "./testing/vault-benches.ts";
import { CERTIFICATE_ROLE, TOKEN_ROLE } from "./testing/vault-upstream.ts";

const program = await requireOrExplain("openbao");

describe("on the fake", () => {
  describeLeases(startFakeEngine);
});
describe.runIf(program !== undefined)("on OpenBao", () => {
  describeLeases(startRealEngine);
});

function describeLeases(start: () => Promise<EngineBench>): void {
  let engine: EngineBench;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.stop());

  function planOf(role: unknown, params: object = {}): IssuePlan {
    const { backend, host } = engine.bench;
    return backend.plan({
      installation: host.installation,
      leaseId: freshLeaseId(),
      expiresAt: plusSeconds(systemClock.now(), 60),
      role: backend.parseRole(role),
      params: backend.parseParams(params),
      holder: CONTRACT_HOLDER,
    });
  }

  const STEPS = [
    ["a token", "POST /v1/auth/token/create", TOKEN_ROLE],
    ["a token", "POST /v1/sys/wrapping/unwrap", TOKEN_ROLE],
    ["an account", "GET /v1/database/creds", null],
    ["an account", "POST /v1/sys/wrapping/unwrap", null],
    ["an account", null, null],
  ] as const;
  test.each(STEPS)(
    "of %s, a process that is killed when it is about to send %s leaves nothing",
    async (_, at, role) => {
      const { bench, upstream } = engine;
      const plan = planOf(role ?? upstream.role);
      const program = fileURLToPath(new URL("testing/mint-process.ts", import.meta.url));
      await killMint({ program, config: upstream.config, plan, proxy: upstream.proxy, at });
      await bench.recoverUntilSettled(plan);
      expect(await upstream.liveNames()).not.toContain(plan.externalName);
      expect(await engine.accounts()).toEqual([]);
    },
  );

  /** Keeps the request that begins so, as the server would read it, and lets the mint fail. */
  async function captureLate(plan: IssuePlan, begins: string): Promise<Buffer> {
    const { bench, upstream } = engine;
    const pieces: Buffer[] = [];
    upstream.proxy.hold((piece) => {
      const isIt = pieces.length > 0 || piece.includes(begins);
      if (isIt) pieces.push(piece);
      return isIt;
    });
    const issuing = bench.open.issue(plan, bench.issueCall({ seconds: 3 }));
    expect((await backendErrorOf(issuing)).effect).toBe("unknown");
    // What was held goes to a connection that its client has given up by then.
    await systemClock.sleep(200);
    upstream.proxy.release();
    return Buffer.concat(pieces);
  }
  async function deliver(request: Buffer): Promise<string> {
    const socket = connectTcp({ host: "127.0.0.1", port: engine.upstream.server.port });
    socket.write(request);
    const [answer] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return answer.toString("latin1").split("\r\n")[0] ?? "";
  }

  test("a token that is asked for after recover said so is refused: its role is gone", async () => {
    const { bench, upstream } = engine;
    const plan = planOf(TOKEN_ROLE);
    const request = await captureLate(plan, "POST /v1/auth/token/create");
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("absent");
    expect(await deliver(request)).toContain("400");
    expect(await upstream.liveNames()).not.toContain(plan.externalName);
  });

  test("a role that is made after recover said absent is no token, and is listed", async () => {
    const { bench, upstream } = engine;
    const plan = planOf(TOKEN_ROLE);
    const request = await captureLate(plan, "POST /v1/auth/token/roles");
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("absent");
    expect(await deliver(request)).toContain("204");
    expect(await upstream.liveNames()).not.toContain(plan.externalName);
    if (bench.open.listing.kind === "none") throw new Error("no listing");
    const { marked } = await bench.open.listing.list(null, bench.call());
    const found = marked.find(({ externalName }) => externalName === plan.externalName);
    if (found?.mark.kind !== "ours") throw new Error("it is not listed as ours");
    await revoking(bench.open).revoke(found.mark.handle, bench.call());
    const after = await bench.open.listing.list(null, bench.call());
    expect(after.marked.map(({ externalName }) => externalName)).not.toContain(plan.externalName);
  });

  test("an answer that nobody unwrapped tells recover which lease to revoke", async () => {
    const { bench, upstream } = engine;
    const plan = planOf(upstream.role);
    upstream.proxy.hold((piece) => piece.includes("POST /v1/sys/wrapping/unwrap"));
    const call = bench.issueCall({ seconds: 3 });
    await backendErrorOf(bench.open.issue(plan, call));
    expect(await engine.accounts()).toHaveLength(1);
    const kept = call.checkpoints.at(-1) ?? null;
    expect(kept?.expose("upstream")).toContain("wrapping");
    // What was held stays so: of what it unwraps, recover is the first reader.
    const { host, port } = upstream.server;
    const second = bench.openAgain(upstream.route?.configAt({ host, port }));
    expect((await second.recover(plan, kept, bench.recoverCall())).outcome).toBe("destroyed");
    upstream.proxy.release();
    expect(await engine.accounts()).toEqual([]);
    await second.close();
  });

  test("an answer that somebody else unwrapped is handed to nobody, and said in the log", async () => {
    const { bench, upstream } = engine;
    const plan = planOf(TOKEN_ROLE);
    const read = new Promise<string>((resolve) => {
      upstream.proxy.hold((piece) => {
        const [, token] =
          /sys\/wrapping\/unwrap[\s\S]*x-vault-token: (\S+)/.exec(piece.toString("latin1")) ?? [];
        if (token !== undefined) resolve(token);
        return token !== undefined;
      });
    });
    const issuing = backendErrorOf(bench.open.issue(plan, bench.issueCall()));
    const theirs = await upstream.server.as(await read, "POST", "sys/wrapping/unwrap");
    expect(theirs.status).toBe(200);
    upstream.proxy.release();
    const error = await issuing;
    expect(error.effect).toBe("unknown");
    expect(error.message).toContain("read already");
    expect(upstream.log.messages("error").join()).toContain("unwrapped by");
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
    expect(await upstream.liveNames()).not.toContain(plan.externalName);
  });

  test("an engine that cannot revoke leaves the lease unended, with the path, until it can", async () => {
    const { bench, upstream } = engine;
    const plan = planOf(upstream.role);
    const issued = await bench.open.issue(plan, bench.issueCall());
    const broken = await engine.breakEngine();
    const open = revoking(bench.open);
    const error = await backendErrorOf(open.revoke(issued.handle, bench.call()));
    expect(error.message).toContain("database/creds/reader");
    expect((await open.probe(issued.handle, bench.call())).verdict).toBe("accepted");
    // Nor is it ended by whoever knows no more than its name.
    const recovering = bench.open.recover(plan, null, bench.recoverCall());
    expect((await backendErrorOf(recovering)).message).toContain("database/creds/reader");
    await broken.mend();
    await open.revoke(issued.handle, bench.call());
    expect((await open.probe(issued.handle, bench.call())).verdict).toBe("refused");
    expect(await engine.accounts()).toEqual([]);
  });

  const certificate = { parameters: { common_name: "bee.agents.test" } };

  test("a certificate is on its CA's list at its end, and said to live on until it expires", async () => {
    const { bench } = engine;
    const plan = planOf(CERTIFICATE_ROLE, certificate);
    const issued = await bench.open.issue(plan, bench.issueCall());
    const open = revoking(bench.open);
    const before = await open.probe(issued.handle, bench.call());
    expect(before).toMatchObject({ verdict: "accepted", looked: { called_revoked: false } });
    const revoked = await open.revoke(issued.handle, bench.call());
    expect(revoked).toEqual({ outcome: "expires", notLaterThan: issued.expiresAt });
    expect(issued.expiresAt).toBeLessThanOrEqual(plan.expiresAt);
    const after = await open.probe(issued.handle, bench.call());
    expect(after.looked).toMatchObject({ tokens: 0, called_revoked: true });
  });

  test("a certificate whose mint was cut off is on the list too, by what was kept of it", async () => {
    const { bench } = engine;
    const plan = planOf(CERTIFICATE_ROLE, certificate);
    const call = bench.issueCall();
    const issued = await bench.open.issue(plan, call);
    const kept = call.checkpoints.at(-1) ?? null;
    const recovered = await bench.open.recover(plan, kept, bench.recoverCall());
    expect(recovered).toEqual({ outcome: "expires", notLaterThan: issued.expiresAt });
    const after = await revoking(bench.open).probe(issued.handle, bench.call());
    expect(after.looked).toMatchObject({ called_revoked: true });
  });

  test("a certificate of which nothing was kept is never called gone while it may live", async () => {
    const { bench } = engine;
    const plan = planOf(CERTIFICATE_ROLE, certificate);
    await bench.open.issue(plan, bench.issueCall());
    for (let turn = 0; turn < 2; turn++) {
      const recovered = await bench.open.recover(plan, null, bench.recoverCall());
      const until = recovered.outcome === "expires" ? recovered.notLaterThan : 0;
      expect(until).toBeGreaterThanOrEqual(plan.expiresAt);
    }
    if (bench.open.listing.kind === "none") throw new Error("no listing");
    const { marked } = await bench.open.listing.list(null, bench.call());
    const found = marked.find(({ externalName }) => externalName === plan.externalName);
    if (found?.mark.kind !== "ours") throw new Error("it is not listed as ours");
    const open = revoking(bench.open);
    expect((await open.revoke(found.mark.handle, bench.call())).outcome).toBe("expires");
    expect((await open.probe(found.mark.handle, bench.call())).verdict).toBe("accepted");
  });

  test("a lease whose token's life the server shortens says when it really ends", async () => {
    const { bench, upstream } = engine;
    await upstream.server.api("POST", "sys/auth/token/tune", { max_lease_ttl: "30s" });
    const issued = await bench.open.issue(planOf(TOKEN_ROLE), bench.issueCall());
    await upstream.server.api("POST", "sys/auth/token/tune", { max_lease_ttl: "768h" });
    const leftMs = issued.expiresAt - systemClock.now();
    expect(leftMs).toBeLessThanOrEqual(30_000);
    expect(leftMs).toBeGreaterThan(0);
    await revoking(bench.open).revoke(issued.handle, bench.call());
  });
}

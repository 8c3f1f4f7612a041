import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { systemClock, systemRandom } from "@mayfly/host";
import { migrate, type Ledger } from "@mayfly/postgres";
import { durationSeconds, type IssuePlan, type LeaseHandle, type OpenBackend } from "@mayfly/spec";
import { startTcpFaultProxy, type TcpFaultProxy } from "@mayfly/testkit";
import {
  BackendBench,
  ledgerFixtures,
  revoking,
  type ContractUpstream,
  type LedgerUnderTest,
} from "@mayfly/testkit/contract";
import { freshDatabase } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { POOL_LEDGER, openPoolLedger } from "./testing/pooled-ledger.ts";
import { pooledRoles } from "./testing/pooled-roles.ts";
import { startPooledRoles } from "./testing/pooled-roles-upstream.ts";

const { activation, endTask, registerBackend, reserveLease } = ledgerFixtures;
const MINTS = fileURLToPath(new URL("testing/pooled-mint.ts", import.meta.url));
const QUARANTINE_MS = 4_200;
const LONG_MS = 150_000;

describe("processes over one ledger and one pool", { retry: 0 }, () => {
  let ledger: LedgerUnderTest;
  let opened: Ledger;
  let upstream: ContractUpstream;
  let bench: BackendBench;
  let proxy: TcpFaultProxy;
  let backend: Awaited<ReturnType<typeof registerBackend>>;
  beforeAll(async () => {
    const { url } = await freshDatabase({ prefix: "pool" });
    await migrate({ url, random: systemRandom });
    const first = await openPoolLedger({ url, backend: "unused" });
    opened = first.ledger;
    ledger = {
      ...opened,
      now: () => systemClock.now(),
      pass: (ms) => systemClock.sleep(ms),
      close: () => opened.close(),
    };
    backend = await registerBackend(ledger);
    process.env[POOL_LEDGER] = JSON.stringify({ url, backend: backend.id });
    const roles = await startPooledRoles();
    const host = { ...first.host, slots: opened.backendSlots.of(backend.id) };
    upstream = { ...roles.upstream, host: () => host };
    bench = new BackendBench({ backend: pooledRoles }, upstream);
    proxy = await startTcpFaultProxy(upstream.route!);
  });
  afterAll(async () => {
    await bench?.open.close();
    await proxy?.stop();
    await upstream?.stop();
    await opened?.close();
  });

  /** Reserved in the ledger, and what is to be asked of the upstream for it. */
  async function reserved(): Promise<{
    readonly plan: IssuePlan;
    readonly lease: LeaseHandle<"reserved">;
    readonly taskId: Parameters<typeof endTask>[1];
  }> {
    const { lease, task } = await reserveLease(ledger, backend, {
      // A process of its own has to start and to reach its mint, on a busy machine.
      issueSeconds: 60,
      settleSeconds: 1,
    });
    return { plan: bench.plan(60, lease.id), lease, taskId: task.id };
  }
  /** What the one claim of the backend asks for is done, and the lease is ended. */
  async function pass(open: OpenBackend): Promise<string> {
    const [claim] = await ledger.sweep.claim(backend.id, 10, durationSeconds(30));
    if (claim === undefined) throw new Error("nothing is due");
    const { kind } = claim.work;
    if (kind === "recover") {
      const recovered = await open.recover(
        bench.plan(60, claim.leaseId),
        null,
        bench.recoverCall(claim.work.settledForSeconds),
      );
      expect(["absent", "destroyed"]).toContain(recovered.outcome);
    }
    const outcome = kind === "recover" ? "absent" : "revoked";
    await ledger.sweep.settle(claim, { kind: "ended", outcome, looked: {} });
    return kind;
  }
  const poolOfOne = (): Record<string, unknown> =>
    bench.upstream.pool!.configOf(1) as Record<string, unknown>;

  test(
    "a frozen mint that goes on when the next tenant has its slot is refused",
    { timeout: LONG_MS },
    async () => {
      const config = poolOfOne();
      const open = bench.openAgain(config);
      const first = await reserved();
      const isReached = new Promise<void>((resolve) => {
        proxy.hold((piece) => {
          const isMint = piece.includes(`COMMENT ON ROLE "${String(slotOf(config))}" IS 'mf_`);
          if (isMint) resolve();
          return isMint;
        });
      });
      const through = { ...config, host: "127.0.0.1", port: proxy.port };
      const order = JSON.stringify({ config: through, plan: first.plan });
      const frozen = spawn(process.execPath, [MINTS, order], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      const exited = once(frozen, "exit");
      try {
        await isReached;
        frozen.kill("SIGSTOP");
        await ledger.pass(1_100);
        expect(await pass(open)).toBe("recover");
        await ledger.pass(QUARANTINE_MS);
        const next = await reserved();
        const issued = await open.issue(next.plan, bench.issueCall());
        await ledger.issue.activate(next.lease, activation(ledger));
        const session = await upstream.openSession(issued.material);
        proxy.release();
        frozen.kill("SIGCONT");
        const [code] = (await exited) as [number | null];
        // Its mint was refused, so it does not stay as one that was issued does.
        expect(code).toBeGreaterThan(0);
        expect(await session.alive()).toBe(true);
        expect(await upstream.tryCredential(issued.material)).toBe("accepted");
        expect(await upstream.liveNames()).not.toContain(first.plan.externalName);
        await session.close();
        await endTask(ledger, next.taskId);
        await revoking(open).revoke(issued.handle, bench.call());
        expect(await pass(open)).toBe("revoke");
      } finally {
        proxy.release();
        frozen.kill("SIGKILL");
        await open.close();
      }
    },
  );

  test("however many ask over the ledger at once, tenants come one after the other", async () => {
    const config = poolOfOne();
    const processes = [bench.openAgain(config), bench.openAgain(config)];
    const leases = await Promise.all(Array.from({ length: 6 }, reserved));
    const asked = await Promise.allSettled(
      leases.map(({ plan }, at) => processes[at % 2]!.issue(plan, bench.issueCall())),
    );
    expect(asked.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const verified = await settledLog();
    expect(verified).toMatchObject({ ok: true });
    await Promise.all(processes.map((open) => open.close()));
  });

  async function settledLog() {
    for (let more = 1; more > 0;) more = await ledger.sequencer.append(1_000);
    return ledger.sequencer.verify(0);
  }
});

const slotOf = ({ slots }: Record<string, unknown>): unknown =>
  Array.isArray(slots) ? slots[0] : null;

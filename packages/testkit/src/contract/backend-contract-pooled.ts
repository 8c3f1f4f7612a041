import { describe, expect, test } from "vitest";
import { BackendError, type Issued, type IssuePlan, type OpenBackend } from "@mayfly/spec";
import { backendErrorOf, revoking, type BackendBench } from "./backend-bench.ts";
import type { ContractPool } from "./backend-contract-subject.ts";

interface Pool {
  readonly bench: BackendBench;
  readonly pool: ContractPool;
  /** Over slots that nobody had. */
  open(count: number): OpenBackend;
}
interface Tenant {
  readonly plan: IssuePlan;
  readonly issued: Issued;
}

/** T1 to T5, of a pooled type. */
export function describePooled(benchOf: () => BackendBench): void {
  describe("slots", () => {
    const poolOf = (): Pool => {
      const bench = benchOf();
      const { pool } = bench.upstream;
      if (pool === undefined) throw new Error("the upstream of a pooled type has a pool");
      return { bench, pool, open: (count) => bench.openAgain(pool.configOf(count)) };
    };
    describeTenancies(poolOf);
    describeLate(poolOf);
  });
}

async function tenant({ bench }: Pool, open: OpenBackend): Promise<Tenant> {
  const plan = bench.plan();
  return { plan, issued: await open.issue(plan, bench.issueCall()) };
}

/** The pool's one slot, from the first tenant on to the second. */
async function handOver(given: Pool, open: OpenBackend, first: Tenant): Promise<Tenant> {
  given.pool.slots.end(first.plan.leaseId);
  await given.bench.upstream.pass(given.pool.quarantineSeconds * 1_000 + 100);
  return tenant(given, open);
}

function describeTenancies(poolOf: () => Pool): void {
  test("T1. a lease for which no slot is free is refused without effect, and told until when", async () => {
    const given = poolOf();
    const { bench } = given;
    const open = given.open(1);
    const first = await tenant(given, open);
    const refused = await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    expect(refused.effect).toBe("none");
    expect(refused.retry.kind).toBe("after");
    expect(await bench.upstream.tryCredential(first.issued.material)).toBe("accepted");
    await open.close();
  });
  test("T2. however many processes ask at once, each slot has one tenant", async () => {
    const { bench, pool } = poolOf();
    const config = pool.configOf(3);
    const processes = [bench.openAgain(config), bench.openAgain(config)];
    const asked = await Promise.allSettled(
      Array.from({ length: 8 }, (_, at) =>
        processes[at % 2]!.issue(bench.plan(), bench.issueCall()),
      ),
    );
    const issued = asked.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    expect(issued).toHaveLength(3);
    for (const each of asked) {
      if (each.status === "rejected") expect(BackendError.isBackendError(each.reason)).toBe(true);
    }
    for (const { material } of issued) {
      expect(await bench.upstream.tryCredential(material)).toBe("accepted");
    }
    await Promise.all(processes.map((open) => open.close()));
  });
  test("T2. the next tenant comes after the quarantine, with a credential of its own", async () => {
    const given = poolOf();
    const { bench, pool } = given;
    const open = given.open(1);
    const first = await tenant(given, open);
    await revoking(open).revoke(first.issued.handle, bench.call());
    pool.slots.end(first.plan.leaseId);
    const early = await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    expect(early.effect).toBe("none");
    const next = await handOver(given, open, first);
    expect(await bench.upstream.tryCredential(next.issued.material)).toBe("accepted");
    expect(await bench.upstream.tryCredential(first.issued.material)).toBe("refused");
    await open.close();
  });
  test("T4. nothing is left of a tenant that nobody revoked, its sessions included", async () => {
    const given = poolOf();
    const { bench } = given;
    const open = given.open(1);
    const first = await tenant(given, open);
    const session = await bench.upstream.openSession(first.issued.material);
    const next = await handOver(given, open, first);
    expect(await session.alive()).toBe(false);
    expect(await bench.upstream.tryCredential(first.issued.material)).toBe("refused");
    expect(await bench.upstream.tryCredential(next.issued.material)).toBe("accepted");
    await session.close();
    await open.close();
  });
}

function describeLate(poolOf: () => Pool): void {
  test("T3. an end that comes late leaves the next tenant and its sessions as they are", async () => {
    const given = poolOf();
    const { bench } = given;
    const open = given.open(1);
    const first = await tenant(given, open);
    await revoking(open).revoke(first.issued.handle, bench.call());
    const next = await handOver(given, open, first);
    const session = await bench.upstream.openSession(next.issued.material);
    await revoking(open).revoke(first.issued.handle, bench.call());
    const { verdict } = await revoking(open).probe(first.issued.handle, bench.call());
    expect(verdict).toBe("refused");
    await open.recover(first.plan, null, bench.recoverCall());
    expect(await session.alive()).toBe(true);
    expect(await bench.upstream.tryCredential(next.issued.material)).toBe("accepted");
    expect((await revoking(open).probe(next.issued.handle, bench.call())).verdict).toBe("accepted");
    await session.close();
    await open.close();
  });
  test("T5. an issue that goes on past its deadline, when its slot is another's, sends nothing", async () => {
    const left = await leftOfLate(poolOf(), 1);
    expect(left).toEqual(NOTHING_CHANGED);
  });
  test("T5. where a late mint is refused, so is one that believes that it is in time", async () => {
    const given = poolOf();
    if (given.bench.backend.capabilities.lateMint !== "refused") return;
    const left = await leftOfLate(given, 3_600);
    expect(left).toEqual(NOTHING_CHANGED);
  });
}

const NOTHING_CHANGED = { session: true, next: "accepted", names: ["next"] };

/** The first issue stands still with its slot in hand until the next tenant has it. */
async function leftOfLate(given: Pool, issueSeconds: number): Promise<typeof NOTHING_CHANGED> {
  const { bench, pool } = given;
  const { upstream } = bench;
  const open = given.open(1);
  const plan = bench.plan();
  const held = pool.slots.holdNext();
  const late = backendErrorOf(open.issue(plan, bench.issueCall({ seconds: issueSeconds })));
  await held.taken;
  pool.slots.end(plan.leaseId, "absent");
  await upstream.pass(pool.quarantineSeconds * 1_000 + 100);
  const next = await tenant(given, open);
  const session = await upstream.openSession(next.issued.material);
  held.release();
  await late;
  const of = new Map([
    [plan.externalName, "late"],
    [next.plan.externalName, "next"],
  ]);
  const left = {
    session: await session.alive(),
    next: await upstream.tryCredential(next.issued.material),
    names: (await upstream.liveNames()).flatMap((name) => of.get(name) ?? []),
  };
  await session.close();
  await open.close();
  return left;
}

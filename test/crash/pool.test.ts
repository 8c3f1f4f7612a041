import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  BRIEF_ISSUE,
  bundlePrograms,
  grantedOfPool,
  POOL,
  POOLED,
  registerPool,
  startInstallation,
  until,
  type Granted,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { dies, isLetIn, opening, SETTLE_MS_MAX, theLease, theSettled } from "./scene.ts";

/*
 * A backend whose one principal is used again and whose rate all processes share: the rows of
 * docs/issue-cycle.md that only such a backend comes to. In the end each kind of leak that a pool
 * can have is planted behind Mayfly's back, and has to be found.
 */
let mayfly: Installation;
let survivor: RunningBroker;
const all = new AsyncDisposableStack();

beforeAll(async () => {
  const programs = await bundlePrograms(all, { hasPooledType: true });
  // No listing is to find what is planted.
  const settings = { ...BRIEF_ISSUE, MAYFLY_LISTING_INTERVAL_SECONDS: "600" };
  mayfly = all.use(await startInstallation({ programs, settings }));
  survivor = await mayfly.startBroker();
  await mayfly.register(survivor);
  const limits = { per_second: 50, burst: 10 };
  await registerPool(mayfly, survivor.api, { slots: 1, limits });
  await mayfly.startWorker();
});
afterAll(() => all.disposeAsync());

const OF_POOL = { credentials: [{ role: POOLED, ttl: "10m" }] };

/** Opens a task of the pool through a broker that is killed at the point. */
async function crashAt(point: string, ref: string): Promise<void> {
  const broker = await mayfly.startBroker({ MAYFLY_UNSAFE_FAIL_POINT: `${point}=kill` });
  await dies(broker, broker.api.exchange(opening(mayfly, ref, OF_POOL)));
}

/** Once the slot is free; until then the answer is to come again. */
function granted(ref: string): Promise<Granted> {
  const exchange = { ...opening(mayfly, ref, OF_POOL), idempotencyKey: ref };
  return until("a tenancy", SETTLE_MS_MAX, async () => {
    const reply = await survivor.api.exchange(exchange);
    if (reply.status === 503) return undefined;
    accepted(reply, ref);
    return grantedOfPool(mayfly, reply);
  });
}

interface Tenancy {
  readonly slot: string;
  readonly generation: number;
  readonly lease: string;
}

/** Who has the slot, or had it last, as the ledger's superuser sees it. */
async function tenancyNow(): Promise<Tenancy | null> {
  const [row] = await mayfly.ledger<Tenancy[]>`
    SELECT slot, generation::float8 AS generation,
      'lease_' || replace(lease_id::text, '-', '') AS lease
    FROM mayfly.backend_slots WHERE backend_id = ${POOL} AND lease_id IS NOT NULL`;
  return row ?? null;
}

const slotNow = async (): Promise<{ readonly canLogin: boolean; readonly mark: string | null }> => {
  const [row] = await mayfly.customer<{ canLogin: boolean; mark: string | null }[]>`
    SELECT rolcanlogin AS "canLogin", shobj_description(oid, 'pg_authid') AS mark
    FROM pg_authid WHERE starts_with(rolname, ${`pool_${mayfly.id}_`})`;
  if (row === undefined) throw new Error("the platform team made a role");
  return row;
};

async function assertNothingLeaks(): Promise<void> {
  await mayfly.assertNothingLeaks(survivor);
  expect(await mayfly.strayTenants()).toEqual([]);
}

describe.concurrent("a broker killed while it issues", { retry: 0 }, () => {
  test("row 23: killed at budget.drawn, nothing was sent and recover ends it absent", async () => {
    await crashAt("budget.drawn", "row-23");
    expect((await theLease(mayfly, "row-23")).state).toBe("reserved");
    const lease = await theSettled(mayfly, "row-23");
    expect(lease.outcome).toBe("absent");
    expect(lease.isPastSettleBy).toBe(true);
    expect((await tenancyNow())?.lease).not.toBe(lease.id);
    await assertNothingLeaks();
  });

  test("row 24: killed at slot.taken, recover ends its tenancy, and another has the slot", async () => {
    await crashAt("slot.taken", "row-24");
    const lost = await theLease(mayfly, "row-24");
    const before = await tenancyNow();
    expect(before?.lease).toBe(lost.id);
    expect(await slotNow()).toMatchObject({ canLogin: false });
    const lease = await theSettled(mayfly, "row-24");
    expect(lease.outcome).toBe("absent");
    await assertNothingLeaks();
    const next = await granted("row-24-next");
    const after = await tenancyNow();
    expect(after).toMatchObject({ slot: before?.slot, lease: next.lease });
    expect(after?.generation).toBeGreaterThan(before?.generation ?? Number.NaN);
    expect(await isLetIn(next.credential)).toBe(true);
    await assertNothingLeaks();
    const { mark } = await slotNow();
    await aStruckTenantIsFound(next);
    await complete(next);
    expect(await isLetIn(next.credential)).toBe(false);
    await assertNothingLeaks();
    await whoOutlivesItsLeaseIsFound(next, mark ?? "");
  });
});

async function aStruckTenantIsFound({ credential: { username } }: Granted): Promise<void> {
  await mayfly.customer.unsafe(`ALTER ROLE ${username} NOLOGIN`);
  expect(await mayfly.strayTenants()).toEqual([
    { kind: "struck_tenant", words: expect.stringContaining("has no slot") as unknown },
  ]);
  await mayfly.customer.unsafe(`ALTER ROLE ${username} LOGIN`);
  expect(await mayfly.strayTenants()).toEqual([]);
}

async function whoOutlivesItsLeaseIsFound(
  { credential: { username } }: Granted,
  mark: string,
): Promise<void> {
  await mayfly.customer.unsafe(
    `ALTER ROLE ${username} LOGIN; COMMENT ON ROLE ${username} IS '${mark}'`,
  );
  expect(await mayfly.strayTenants()).toEqual([
    { kind: "orphan", words: expect.stringContaining("outlives its lease") as unknown },
  ]);
}

async function complete({ taskId, taskToken }: Granted): Promise<void> {
  const path = `/v1/tasks/${taskId}/complete`;
  accepted(await survivor.api.call(taskToken, "POST", path, { wait: 30 }), path);
}

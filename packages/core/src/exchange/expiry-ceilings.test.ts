import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { durationSeconds, earliest, plusSeconds, type CredentialBackend } from "@mayfly/spec";
import { createFakeAgent, createFakeBackend, createFakeWorld, furnish } from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const READER = "orders-db/reader";

/** Seconds. */
interface Ceilings {
  readonly role: number;
  /** What the type says today, which may be less than when the role was registered. */
  readonly type: number;
  /** What the type's plan makes of what it is given. */
  readonly plan: number;
  readonly deadline: number;
  readonly ttl: number;
  readonly parentTtl: number;
}
type Ceiling = keyof Ceilings;

/** Longer than the least, each by another length: which one held can be told. */
const FAR: Ceilings = {
  role: 1800,
  type: 86_400,
  plan: 50_000,
  deadline: 3600,
  ttl: 2400,
  parentTtl: 3000,
};
const CEILINGS: readonly Ceiling[] = ["role", "type", "plan", "deadline", "ttl", "parentTtl"];

/**
 * Seconds for which a child's credential lives under these ceilings. That a child ends with its
 * parent, however late it was opened, is `child-tasks.test.ts`'s.
 */
async function lifeUnder(ceilings: Ceilings): Promise<number> {
  const settings = { sweepIntervalSeconds: 3600, listingIntervalSeconds: 3600 };
  const world = createFakeWorld({ settings });
  const before = createCore(world.ports);
  await furnish(world, before);
  const role = {
    role: READER,
    ttl_max: ceilings.role,
    data_class: "confidential",
    reversibility: "read_only",
    environment: "prod",
    groups: ["read"],
  };
  await before.putRole(role, ADMIN, world.context());
  // The role stays as it is registered while the type comes in a version that issues for less.
  const type = typeOf(world, ceilings);
  const backendTypes = new Map([...world.ports.backendTypes, [type.type, type]]);
  const agent = createFakeAgent(world, createCore({ ...world.ports, backendTypes }));
  const parent = await agent.open({
    deadline: 86_400,
    credentials: [{ role: READER, ttl: ceilings.parentTtl, issue: "later" }],
  });
  const child = await agent.child(parent, {
    deadline: ceilings.deadline,
    credentials: [{ role: READER, ttl: ceilings.ttl }],
  });
  const [credential] = child.credentials;
  const [lease] = world.ledger.inspect.leases();
  const [made] = world.upstream.all();
  // One time for all: in the reply, on record, and where it is enforced.
  expect([lease?.expiresAt, made?.expiresAt]).toEqual([
    credential?.expiresAt,
    credential?.expiresAt,
  ]);
  return ((credential?.expiresAt ?? 0) - world.clock.now()) / 1000;
}

function typeOf(
  { upstream, clock }: ReturnType<typeof createFakeWorld>,
  ceilings: Ceilings,
): CredentialBackend {
  const type = createFakeBackend({
    upstream,
    capabilities: {
      issueCallSecondsMax: durationSeconds(1),
      ttlSecondsMax: durationSeconds(ceilings.type),
    },
  });
  return {
    ...type,
    plan: (request) => {
      const expiresAt = earliest(request.expiresAt, plusSeconds(clock.now(), ceilings.plan));
      return type.plan({ ...request, expiresAt });
    },
  };
}

describe("a credential lives for the least of all ceilings", () => {
  test("which is the role's where no other one is lower", async () => {
    expect(await lifeUnder(FAR)).toBe(FAR.role);
  });
  test.each(CEILINGS)("lowered alone, it is that of: %s", async (ceiling) => {
    expect(await lifeUnder({ ...FAR, [ceiling]: 120 })).toBe(120);
  });
  test("whatever they are", async () => {
    const seconds = fc.integer({ min: 2, max: 86_400 });
    const ceilings = fc.record({
      role: seconds,
      type: seconds,
      plan: seconds,
      deadline: seconds,
      ttl: seconds,
      parentTtl: seconds,
    });
    await fc.assert(
      fc.asyncProperty(ceilings, async (drawn) => {
        expect(await lifeUnder(drawn)).toBe(Math.min(...Object.values(drawn)));
      }),
      { numRuns: 30 },
    );
  });
});

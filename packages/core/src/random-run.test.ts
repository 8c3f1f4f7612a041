import fc from "fast-check";
import { expect, test } from "vitest";
import {
  BrokerError,
  LIVE_LEASE_STATES,
  durationSeconds,
  parseId,
  type FailPoint,
  type JsonObject,
  type LeaseId,
  type TaskState,
} from "@mayfly/spec";
import { createFakeAgent, createFakeWorld, furnish, loginOf } from "@mayfly/testkit";
import { createCore, type Core } from "./create-core.ts";
import type { ExchangeReply } from "./exchange/exchange-request.ts";

/**
 * A forerunner of the simulator: random operations on cores over one ledger and one upstream, with
 * faults of both, lost wake-ups, crashed and frozen processes, on virtual time.
 */
type Step =
  | { readonly do: "open"; readonly key: boolean; readonly details: JsonObject }
  | {
      readonly do: "draw" | "child" | "end" | "endLease" | "heartbeat" | "renew";
      readonly of: number;
    }
  | { readonly do: "sweep" | "pass" | "list" | "heal" | "late" | "thaw" | "restart" | "loseQueue" }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "crash" | "freeze"; readonly at: FailPoint }
  | {
      readonly do: "upstream";
      readonly operation: UpstreamOperation;
      readonly fault: UpstreamFault;
    }
  | { readonly do: "pretendToRevoke" }
  | { readonly do: "ledger"; readonly operation: string; readonly lose: boolean };

const UPSTREAM_OPERATIONS = ["issue", "recover", "revoke", "probe", "extend", "list"] as const;
type UpstreamOperation = (typeof UPSTREAM_OPERATIONS)[number];
/** Without `pretend`: against a backend that lies about what it sees nothing helps. */
const UPSTREAM_FAULTS = [
  "refuse",
  "unavailable",
  "timeout_without_effect",
  "timeout_with_effect",
  "late_effect",
  "hang",
] as const;
type UpstreamFault = (typeof UPSTREAM_FAULTS)[number];
const LEDGER_OPERATIONS = [
  "reserve",
  "activate",
  "abandon",
  "lease",
  "find",
  "endLease",
  "requestEnd",
  "applyEnd",
  "claim",
  "settle",
  "recordRenewal",
  "heartbeat",
];
const POINTS = [
  "reserve.after",
  "issue.before",
  "issue.after",
  "activate.after",
  "schedule.after",
  "renew.recorded",
  "end.requested",
  "end.marked",
  "revoke.before",
  "revoke.after",
  "probe.after",
  "settle.after",
  "recover.before",
  "recover.after",
] as const satisfies readonly FailPoint[];

const of = fc.nat({ max: 20 });
const details = fc
  .record({
    deadline: fc.integer({ min: 20, max: 300 }),
    idle_timeout: fc.constantFrom(15, 60, 300),
    credentials: fc.array(
      fc.record({
        role: fc.constantFrom("orders-db/reader", "orders-db/writer"),
        ttl: fc.constantFrom(10, 60, 600),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  })
  .map((open): JsonObject => open);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("open" as const), key: fc.boolean(), details }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("draw", "child", "end", "endLease", "heartbeat", "renew", "renew"),
      of,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom("sweep", "sweep", "pass", "list", "late") }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("heal", "thaw", "restart", "loseQueue", "pretendToRevoke"),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("advance" as const),
      ms: fc.constantFrom(10, 900, 1100, 3000, 9000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("crash", "freeze"),
      at: fc.constantFrom(...POINTS),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("upstream" as const),
      operation: fc.constantFrom(...UPSTREAM_OPERATIONS),
      fault: fc.constantFrom(...UPSTREAM_FAULTS),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("ledger" as const),
      operation: fc.constantFrom(...LEDGER_OPERATIONS),
      lose: fc.boolean(),
    }),
  },
);

const ADMIN = { kind: "administrator", name: "alice" } as const;
const seen = { replies: 0, crashed: 0, frozen: 0, recovered: 0, renewed: 0, children: 0 };

async function startRun() {
  const world = createFakeWorld({ settings: { listingIntervalSeconds: 3600 } });
  let core: Core = createCore(world.ports);
  await furnish(world, core);
  const replies: ExchangeReply[] = [];
  const thaws: (() => void)[] = [];
  const defects: unknown[] = [];
  const taskStates = new Map<string, TaskState>();
  const pick = (index: number): ExchangeReply | undefined => replies[index % replies.length];

  /** Started, and not waited for: it may stand still until time moves, or for ever. */
  const start = (work: Promise<unknown>): void => {
    work.catch((error: unknown) => {
      if (!BrokerError.is(error) || error.code === "internal") defects.push(error);
    });
  };
  const received = async (exchange: Promise<ExchangeReply>): Promise<void> => {
    const reply = await exchange;
    seen.replies++;
    // Invariant 2: nothing leaves before its lease is durable.
    for (const { lease } of reply.credentials) {
      const row = world.ledger.inspect.leases().find(({ id }) => id === lease);
      if (row === undefined || row.activatedAt === null) defects.push(`${lease} left too early`);
    }
    replies.push(reply);
  };
  const agent = () => createFakeAgent(world, core);
  const backendId = () => world.ledger.inspect.leases()[0]?.backendId;

  const onReply = (action: Step["do"], reply: ExchangeReply): void => {
    const { task, taskToken, credentials } = reply;
    const context = world.context();
    const role = task.descriptor.credentials[0]?.role ?? "orders-db/reader";
    const [first] = credentials;
    if (action === "draw") {
      start(received(agent().under(taskToken, { task: task.id, credentials: [{ role }] })));
    } else if (action === "child") {
      const narrow = { deadline: 20, credentials: [{ role, ttl: 10 }] };
      start(received(agent().child(reply, narrow)).then(() => seen.children++));
    } else if (action === "heartbeat") {
      start(core.heartbeat({ token: taskToken }, context));
    } else if (action === "end") {
      const end = { taskId: task.id, by: ADMIN, state: "completed", reason: "done" } as const;
      start(core.endTask({ ...end, waitSeconds: 2 }, context));
    } else if (action === "endLease" && first !== undefined) {
      start(core.endLease({ leaseId: first.lease, by: ADMIN, reason: "drill" }, context));
    } else if (action === "renew") {
      const renew = async (leaseId: LeaseId): Promise<void> => {
        const ttlSeconds = durationSeconds(120);
        await core.renewLease({ leaseId, ttlSeconds, task }, world.context());
        seen.renewed++;
      };
      if (first !== undefined) start(renew(first.lease));
      // One that was drawn for less than was declared has something left to be renewed.
      const credentials = [{ role, ttl: 5 }];
      const drawn = agent().under(taskToken, { task: task.id, credentials });
      start(received(drawn));
      start(drawn.then(({ credentials: [short] }) => short && renew(short.lease)));
    }
  };

  const perform = async (action: Step): Promise<void> => {
    switch (action.do) {
      case "open": {
        const options = action.key ? { key: "key", body: "body" } : {};
        return start(received(agent().open(action.details, options)));
      }
      case "draw":
      case "child":
      case "end":
      case "endLease":
      case "heartbeat":
      case "renew": {
        const reply = pick(action.of);
        return reply === undefined ? undefined : onReply(action.do, reply);
      }
      case "sweep":
        return start(core.sweep(world.context()));
      case "pass": {
        const id = backendId();
        return id === undefined ? undefined : start(core.runPass(id, world.context()));
      }
      case "list": {
        const id = backendId();
        return id === undefined ? undefined : start(core.listOrphans(id, world.context()));
      }
      case "heal":
        return world.upstream.heal();
      case "pretendToRevoke":
        return world.upstream.fail("revoke", "pretend");
      case "late":
        return world.upstream.deliverLate();
      case "loseQueue":
        return world.alarm.loseAll();
      case "thaw":
        return thaws.splice(0).forEach((thaw) => thaw());
      case "restart":
        core = createCore(world.ports);
        return undefined;
      case "advance":
        return world.clock.advance(action.ms);
      case "upstream":
        return world.upstream.fail(action.operation, action.fault);
      case "ledger":
        return action.lose
          ? world.ledger.faults.loseAcknowledgement(action.operation)
          : world.ledger.faults.refuse(action.operation);
      case "crash":
      case "freeze": {
        const stand = Promise.withResolvers<void>();
        world.failPoints.at(action.at, () => {
          world.failPoints.at(action.at, null);
          core = createCore(world.ports);
          if (action.do === "freeze") thaws.push(stand.resolve);
          seen[action.do === "freeze" ? "frozen" : "crashed"]++;
          return stand.promise;
        });
        return undefined;
      }
    }
  };

  const check = (): void => {
    expect(defects).toEqual([]);
    const leases = new Map(world.ledger.inspect.leases().map((lease) => [lease.id, lease]));
    // Invariants 1 and 4: what works at the upstream has a row that lives and says why.
    for (const { name } of world.upstream.live()) {
      const lease = leases.get(leaseIdOf(name));
      expect(LIVE_LEASE_STATES, name).toContain(lease?.state);
      expect(lease?.exposure.kind).not.toBe("none");
    }
    for (const { id, state } of world.ledger.inspect.tasks()) {
      const before = taskStates.get(id) ?? "active";
      if (before !== "active") expect(state).toBe(before);
      taskStates.set(id, state);
    }
  };

  /** Everything works again, and time goes on. */
  const finish = async (): Promise<void> => {
    world.upstream.heal();
    for (const point of POINTS) world.failPoints.at(point, null);
    for (const operation of LEDGER_OPERATIONS) {
      world.ledger.faults.refuse(operation, 0);
      world.ledger.faults.loseAcknowledgement(operation, 0);
    }
    core = createCore(world.ports);
    for (let round = 0; round < 25; round++) {
      if (round === 5) thaws.splice(0).forEach((thaw) => thaw());
      world.upstream.deliverLate();
      await core.sweep(world.context());
      const id = backendId();
      if (id !== undefined) await core.listOrphans(id, world.context());
      await world.clock.advance(60_000);
      check();
    }
  };
  return { world, perform, check, finish, replies };
}

const leaseIdOf = (name: string): LeaseId =>
  parseId("lease", `lease_${name.slice(name.lastIndexOf("_") + 1)}`, "name");

test(
  "whatever happens, no credential lives without a lease that says so, and all end",
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        const { world, perform, check, finish, replies } = await startRun();
        for (const action of steps) {
          await perform(action);
          for (let turn = 0; turn < 3; turn++) await world.clock.settle();
          check();
        }
        await finish();
        const left = world.ledger.inspect.leases().filter(({ state }) => state !== "ended");
        expect(left).toEqual([]);
        expect(world.upstream.all()).toEqual([]);
        expect(world.ledger.inspect.tasks().filter(({ state }) => state === "active")).toEqual([]);
        seen.recovered += world.failPoints.visits.filter((at) => at === "recover.after").length;
        const secrets = replies.flatMap(({ taskToken, credentials }) => [
          taskToken,
          ...credentials.map((credential) => loginOf(credential).password),
        ]);
        world.log.assertNoSecret(...secrets);
      }),
      { numRuns: 60 },
    );
    // A run in which nothing happens holds every invariant.
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
  },
);

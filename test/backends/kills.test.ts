import { BACKEND_TYPES } from "@mayfly/composition";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { diedBySigkill } from "../crash/scene.ts";
import {
  accepted,
  at,
  textAt,
  until,
  type Environment,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import {
  CLAIM,
  ISSUE_OF_ALL,
  isWhole,
  RECOVERED_MS_MAX,
  roleOf,
  SELF_CONTAINED,
  startEveryType,
  ttlOf,
  type EveryType,
} from "./every-type-scene.ts";
import { holdMints, releaseMints, type Step } from "./hold-mints.ts";
import { availableServers, startSharedServers } from "./shared-servers/start-shared-servers.ts";
import type { RunningServer } from "./shared-servers/shared-server.ts";
import type { CredentialData } from "./upstreams/upstream.ts";

/*
 * A process is killed with a lease of each type that can run here between the same two steps.
 * Another one cleans up; then each upstream itself is asked what it still lets in.
 */
// A window is a dozen processes, of which all are run at once.
if (isWhole) vi.setConfig({ testTimeout: 900_000, hookTimeout: 600_000 });
const upstreams = await availableServers();
let running: readonly RunningServer[];
const ends = new AsyncDisposableStack();
beforeAll(async () => {
  running = await startSharedServers(upstreams, ends);
});
afterAll(() => ends.disposeAsync());

/** Those whose lost mints are looked for while a test may wait. */
const recoverable = (): readonly RunningServer[] =>
  running.filter(({ type }) => isWhole || type !== "vault");
const struckBy = (point: string, count: number): Environment => ({
  MAYFLY_UNSAFE_FAIL_POINT: `${point}=kill*${count}`,
});
const inWhole = (all: readonly string[], always: readonly string[]): readonly string[] =>
  isWhole ? all : always;

/** One installation for all that a broker dies of: a worker that lives cleans up. */
const kept = Promise.withResolvers<EveryType>();
kept.promise.catch(() => undefined);
beforeAll(async () => {
  try {
    const scene = ends.use(await startEveryType(recoverable(), CLAIM));
    await scene.mayfly.startWorker();
    kept.resolve(scene);
  } catch (error) {
    kept.reject(error);
  }
});

describe.concurrent(
  "a broker killed or frozen with a mint of each type under way",
  { retry: 0 },
  () => {
    /** Its mints, and in whose upstream they were alive once it was dead. */
    async function killAt(point: string, end: "lost" | "revoked" = "lost") {
      const scene = await kept.promise;
      const strike = struckBy(point, scene.types.length);
      const broker = await scene.mayfly.startBroker({ ...ISSUE_OF_ALL, ...strike });
      await scene.dieOpening(broker, point, end);
      const left = await scene.mintsOf(point);
      expect(left.map(({ type }) => type)).toEqual(scene.types);
      return { scene, left, alive: await scene.liveTypes(left) };
    }

    test.each(inWhole(["reserve.after", "issue.before"], []))(
      "at %s: nothing was made, and nothing is",
      async (point) => {
        const { scene, left, alive } = await killAt(point);
        expect(left.map(({ state }) => state)).toEqual(left.map(() => "reserved"));
        expect(alive).toEqual([]);
        const over = await scene.settled(point);
        expect(await scene.liveTypes(over)).toEqual([]);
        const looked = over.filter(({ type }) => !SELF_CONTAINED.includes(type));
        expect(looked.map(({ outcome }) => outcome)).toEqual(looked.map(() => "absent"));
        await scene.mayfly.assertNothingLeaks(scene.survivor);
      },
    );

    test("at issue.after: what each upstream has by then is found by the next sweep, and destroyed", async () => {
      const { scene, left, alive } = await killAt("issue.after");
      expect(left.map(({ state }) => state)).toEqual(left.map(() => "reserved"));
      expect(alive).toEqual(scene.types.filter((type) => !SELF_CONTAINED.includes(type)));
      const over = await scene.settled("issue.after");
      expect(await scene.liveTypes(over)).toEqual([]);
      expect(over.map(({ type, outcome }) => [type, outcome])).toEqual(
        scene.types.map((type) => [type, SELF_CONTAINED.includes(type) ? "expired" : "revoked"]),
      );
      await scene.mayfly.assertNothingLeaks(scene.survivor);
    });

    test.each(inWhole(["activate.after", "schedule.after"], ["activate.after"]))(
      "at %s: the reply that nobody got is ended with its idle task",
      async (point) => {
        const { scene, left, alive } = await killAt(point, "revoked");
        expect(left.map(({ state }) => state)).toEqual(left.map(() => "active"));
        expect(alive).toEqual(scene.types.filter((type) => !SELF_CONTAINED.includes(type)));
        await scene.neglect(point);
        const over = await scene.settled(point);
        expect(await scene.liveTypes(over)).toEqual([]);
        expect(over.map(({ type, outcome }) => [type, outcome])).toEqual(
          scene.types.map((type) => [type, type === "jwt" ? "expired" : "revoked"]),
        );
        await scene.mayfly.assertNothingLeaks(scene.survivor);
      },
    );

    test.each(inWhole(["issue.before", "issue.after"], ["issue.after"]))(
      "frozen at %s, and past its recovery, it hands out nothing, and nothing is",
      async (point) => {
        const scene = await kept.promise;
        const broker = await scene.mayfly.startBroker({
          ...ISSUE_OF_ALL,
          MAYFLY_UNSAFE_FAIL_POINT: `${point}=stop*${scene.types.length}`,
        });
        const replies = scene.openEach(broker, `frozen-${point}`);
        await broker.frozen();
        const over = await scene.settled(`frozen-${point}`);
        expect(await scene.liveTypes(over)).toEqual([]);
        broker.thaw();
        expectNoCredential(await replies);
        expect(await scene.settled(`frozen-${point}`)).toEqual(over);
        expect(await scene.liveTypes(over)).toEqual([]);
        await scene.mayfly.assertNothingLeaks(scene.survivor);
      },
    );
  },
);

interface Held {
  readonly type: string;
  readonly lease: string;
  readonly data: CredentialData;
}

/** One task with a lease of each type, and what was handed out. */
async function holdEach({ mayfly, survivor, types }: EveryType) {
  const reply = await survivor.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "hold one of each",
      deadline: "10m",
      credentials: types.map((type) => ({ role: roleOf(type), ttl: ttlOf(type, "revoked") })),
    },
  });
  accepted(reply, "the exchange");
  const token = textAt(reply, "access_token");
  const complete = completing(survivor.api, textAt(reply, "task", "id"), token);
  return { held: heldIn(reply, types), complete };
}

const heldIn = (reply: Reply, types: readonly string[]): readonly Held[] =>
  types.map((type, place) => ({
    type,
    lease: textAt(reply, "credentials", place, "lease"),
    data: at(reply, "credentials", place, "data") as CredentialData,
  }));

const completing =
  (api: RunningBroker["api"], task: string, token: string) => async (): Promise<void> => {
    const path = `/v1/tasks/${task}/complete`;
    accepted(await api.call(token, "POST", path, {}), path);
  };

/** Types whose upstream lets the holder in now; of PostgreSQL the others' tests ask. */
async function letIn({ registered }: EveryType, held: readonly Held[]): Promise<readonly string[]> {
  const asked = held.flatMap(({ type, data }) => {
    const upstream = running.find((one) => one.type === type);
    return upstream === undefined ? [] : [{ type, data, upstream }];
  });
  const answers = await Promise.all(
    asked.map(async ({ data, upstream }) => upstream.accepts(data, registered)),
  );
  return asked.filter((_, place) => answers[place]).map(({ type }) => type);
}

const leaseOf = ({ survivor }: EveryType, { lease }: Held): Promise<Reply> =>
  survivor.api.admin("GET", `/v1/leases/${lease}`);

/** Long enough for a broker to die and for another one to go on, on a machine that is busy. */
const FIRST_TTL = "45s";
const RENEWED = BACKEND_TYPES.filter(({ capabilities }) => capabilities.canRenew);

describe.concurrent(
  "a broker killed with a renewal of each type that renews under way",
  { retry: 0 },
  () => {
    test.each(["renew.recorded", "renew.after"])(
      "at %s: another one renews them further, they outlive their first expiry, and end with their task",
      async (point) => {
        const scene = await kept.promise;
        const types = scene.types.filter((type) => RENEWED.some((one) => one.type === type));
        const strike = struckBy(point, types.length);
        const broker = await scene.mayfly.startBroker({ ...ISSUE_OF_ALL, ...strike });
        const { held, token, firstExpiry, complete } = await holdEachBriefly(scene, types, point);
        const renewBy = ({ api }: RunningBroker, ttl: string) =>
          Promise.allSettled(
            held.map(({ lease }) => api.call(token, "POST", `/v1/leases/${lease}/renew`, { ttl })),
          );
        const lost = await renewBy(broker, "2m");
        expect(lost.map(({ status }) => status)).toEqual(types.map(() => "rejected"));
        await diedBySigkill(broker);
        for (const one of held) {
          const lease = await leaseOf(scene, one);
          expect([one.type, at(lease, "state")]).toEqual([one.type, "active"]);
          expect(Date.parse(textAt(lease, "expires_at"))).toBeGreaterThan(firstExpiry);
        }
        for (const one of await renewBy(scene.survivor, "4m")) {
          if (one.status === "rejected") throw one.reason;
          accepted(one.value, point);
        }
        await until(
          "the first expiry",
          RECOVERED_MS_MAX,
          async () => Date.now() > firstExpiry + 2e3,
        );
        const asked = types.filter((type) => type !== "postgres");
        expect(await letIn(scene, held)).toEqual(asked);
        await complete();
        await until("each lease to end", RECOVERED_MS_MAX, async () => {
          const leases = await Promise.all(held.map((one) => leaseOf(scene, one)));
          return leases.every((lease) => at(lease, "outcome") === "revoked");
        });
        expect(await letIn(scene, held)).toEqual([]);
        await scene.mayfly.assertNothingLeaks(scene.survivor);
      },
    );
  },
);

/** One task with a lease of each of the types, drawn for a short while. */
async function holdEachBriefly(
  { mayfly, survivor: { api } }: EveryType,
  types: readonly string[],
  ref: string,
) {
  const exchange = (details: object): Promise<Reply> =>
    api.exchange({ subject: mayfly.svid("worker-bee"), details });
  const roles = types.map((type) => ({ role: roleOf(type) }));
  // A declared ttl would bound the renewals: the short one is only of what is drawn.
  const opened = await exchange({
    type: "mayfly-task",
    goal: "be there when it crashes",
    ref,
    deadline: "10m",
    credentials: roles.map((role) => ({ ...role, issue: "later" })),
  });
  accepted(opened, ref);
  const task = textAt(opened, "task", "id");
  const drawn = await exchange({
    type: "mayfly-task",
    task,
    credentials: roles.map((role) => ({ ...role, ttl: FIRST_TTL })),
  });
  accepted(drawn, ref);
  const held = heldIn(drawn, types);
  const expiries = held.map((_, place) =>
    Date.parse(textAt(drawn, "credentials", place, "expires_at")),
  );
  const token = textAt(drawn, "access_token");
  return {
    held,
    token,
    firstExpiry: Math.max(...expiries),
    complete: completing(api, task, token),
  };
}

describe.concurrent("a worker killed with an end of each type under way", { retry: 0 }, () => {
  /** Types that are looked at as soon as they were revoked: of the others a time has to pass. */
  const probedAtOnce = (types: readonly string[]): readonly string[] =>
    types.filter((type) => type !== "jwt" && type !== "x509");

  test.each(
    inWhole(["revoke.before", "revoke.after", "probe.after", "settle.after"], ["revoke.after"]),
  )("at %s: the next one ends them all", async (point) => {
    await using scene = await startEveryType(running, CLAIM);
    const struck = point === "probe.after" ? probedAtOnce(scene.types) : scene.types;
    const worker = await scene.mayfly.startWorker(struckBy(point, struck.length));
    const { held, complete } = await holdEach(scene);
    const all = held.map(({ type }) => type).filter((type) => type !== "postgres");
    expect(await letIn(scene, held)).toEqual(all);
    await complete();
    await diedBySigkill(worker);
    const left = await letIn(scene, held);
    // Of an access token nobody hears but those who ask; a certificate is on the list of its
    // authority as soon as the ledger says that its lease ends.
    const unheard = point === "revoke.before" ? all.filter((type) => type !== "x509") : ["jwt"];
    expect(left).toEqual(unheard);
    await scene.mayfly.startWorker();
    await until("each lease to end", RECOVERED_MS_MAX, async () => {
      const leases = await Promise.all(held.map((one) => leaseOf(scene, one)));
      return leases.every((lease) => at(lease, "state") === "ended");
    });
    const outcomes = held.map(async (one) => [one.type, at(await leaseOf(scene, one), "outcome")]);
    expect(await Promise.all(outcomes)).toEqual(
      scene.types.map((type) => [type, type === "jwt" ? "expired" : "revoked"]),
    );
    expect(await letIn(scene, held)).toEqual([]);
    await scene.mayfly.assertNothingLeaks(scene.survivor);
  });

  test.each(inWhole(["recover.before", "recover.after"], ["recover.after"]))(
    "at %s: the next one finds what a lost mint of each type left",
    async (point) => {
      await using scene = await startEveryType(recoverable(), CLAIM);
      const count = scene.types.length;
      const first = await scene.mayfly.startWorker();
      const strike = struckBy("issue.after", count);
      const broker = await scene.mayfly.startBroker({ ...ISSUE_OF_ALL, ...strike });
      await scene.dieOpening(broker, point);
      await first.kill();
      await until("all to be past their settle_by", RECOVERED_MS_MAX, async () => {
        const [row] = await scene.mayfly.ledger<{ n: number }[]>`
          SELECT count(*)::int AS n FROM mayfly.leases
          WHERE state = 'reserved' AND settle_by < now()`;
        return row?.n === count;
      });
      const worker = await scene.mayfly.startWorkerAtOnce(struckBy(point, count));
      await diedBySigkill(worker);
      const left = await scene.mintsOf(point);
      expect(left.filter(({ state }) => state === "ended")).toEqual([]);
      const made = scene.types.filter((type) => !SELF_CONTAINED.includes(type));
      expect(await scene.liveTypes(left)).toEqual(point === "recover.before" ? made : []);
      await scene.mayfly.startWorker();
      expect(await scene.liveTypes(await scene.settled(point))).toEqual([]);
      await scene.mayfly.assertNothingLeaks(scene.survivor);
    },
  );
});

interface Frozen {
  readonly broker: RunningBroker;
  readonly ref: string;
  readonly replies: Promise<readonly PromiseSettledResult<Reply>[]>;
  readonly count: number;
}

/** What is said by a broker that goes on, to agents who have waited for so long: no credential. */
function expectNoCredential(replies: readonly PromiseSettledResult<Reply>[]): void {
  const answers = replies.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  expect(answers.filter(({ status }) => status < 400)).toEqual([]);
}

const nth =
  (place: number): Step =>
  () =>
    place;
const last: Step = (steps) => steps.length - 1;

test.concurrent("what servers get late of frozen mints gives nobody anything", async () => {
  await using scene = await startEveryType(recoverable());
  await scene.mayfly.startWorker();
  const steps = isWhole ? [0, 1, 2, 3, 4].map(nth) : [nth(0), last];
  const servers = recoverable();
  const frozen: Frozen[] = [];
  // One after the other: a server holds back one step at a time.
  for (const [place, step] of steps.entries()) {
    const broker = await scene.mayfly.startBroker(ISSUE_OF_ALL);
    const hold = await holdMints(scene, servers, step);
    const types = servers.filter((one) => one.mintSends[step(one.mintSends)] !== undefined);
    const ref = `frozen-${place}`;
    const replies = scene.openEach(broker, ref, { of: types.map(({ type }) => type) });
    await hold.reached(RECOVERED_MS_MAX);
    broker.freeze();
    await broker.frozen();
    hold.enough();
    frozen.push({ broker, ref, replies, count: types.length });
  }
  for (const { ref, count } of frozen) {
    expect(await scene.liveTypes(await scene.settled(ref, count))).toEqual([]);
  }
  releaseMints(servers);
  for (const { broker } of frozen) broker.thaw();
  for (const { replies } of frozen) expectNoCredential(await replies);
  // What came of a late request nevertheless is found by the next listing.
  await until("nothing to be alive", RECOVERED_MS_MAX, async () => {
    const left = await Promise.all(frozen.map(({ ref, count }) => scene.settled(ref, count)));
    return (await scene.liveTypes(left.flat())).length === 0;
  });
  await scene.mayfly.assertNothingLeaks(scene.survivor);
});

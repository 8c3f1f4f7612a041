import {
  BrokerError,
  durationSeconds,
  type BackendBudget,
  type Clock,
  type OpenBackend,
} from "@mayfly/spec";
import {
  FakeUpstream,
  createFakeBackend,
  createFakeClock,
  createTestBudget,
} from "@mayfly/testkit";
import {
  BackendBench,
  backendErrorOf,
  fakeBackendSubject,
  revoking,
} from "@mayfly/testkit/contract";
import { describe, expect, test } from "vitest";
import { UNWATCHED_LIMITS, withLimits } from "./with-limits.ts";

const AWAY = new BrokerError("ledger_unavailable", "the ledger is away");

/** A ledger that a test takes away, or stops. */
function fickle(budget: BackendBudget, clock: Pick<Clock, "sleep">) {
  const state = { mood: "well" as "well" | "away" | "hanging" | "slow", calls: 0 };
  const asked = async <T>(ask: () => Promise<T>): Promise<T> => {
    state.calls++;
    if (state.mood === "away") throw AWAY;
    if (state.mood === "hanging") return new Promise<never>(() => undefined);
    if (state.mood === "slow") await clock.sleep(3_000);
    return ask();
  };
  return {
    state,
    budget: {
      draw: (draw) => asked(() => budget.draw(draw)),
      pause: (seconds) => asked(() => budget.pause(seconds)),
    } satisfies BackendBudget,
  };
}

/** Two processes over one ledger and one upstream, each with the backend open. */
async function setUp(limits: Readonly<Record<string, unknown>>) {
  const clock = createFakeClock();
  const upstream = new FakeUpstream({ clock });
  const told: string[] = [];
  const backend = withLimits(createFakeBackend({ upstream }), {
    ...UNWATCHED_LIMITS,
    heldBack: (_, reason) => told.push(reason),
    drew: (_, use, outcome) => told.push(`${use} ${outcome}`),
    paused: () => told.push("told to pause"),
  });
  const subject = fakeBackendSubject({ name: "", backend, upstream, clock, config: { limits } });
  const bench = new BackendBench({ backend }, await subject.start());
  const { state: ledger, budget } = fickle(createTestBudget(clock), clock);
  const config = backend.parseConfig(bench.upstream.config);
  const open = (): OpenBackend => backend.open(config, { ...bench.host, budget });
  const [broker, other] = [open(), open()];
  const mint = (of: OpenBackend, seconds?: number) =>
    of.issue(bench.plan(), bench.issueCall(seconds === undefined ? {} : { seconds }));
  const settled = async (call: Promise<unknown>): Promise<() => boolean> => {
    let isDone = false;
    const done = (): void => {
      isDone = true;
    };
    call.then(done, done);
    await clock.advance(0);
    return () => isDone;
  };
  return { clock, upstream, told, bench, ledger, budget, broker, other, mint, settled };
}

describe("the rate of a backend", () => {
  test("is one for all processes", async () => {
    const { clock, broker, other, mint, settled } = await setUp({ per_second: 2, burst: 2 });
    await mint(broker);
    const waits = await settled(mint(other));
    await clock.advance(499);
    expect(waits()).toBe(false);
    await clock.advance(1);
    expect(waits()).toBe(true);
  });

  test("has a share that mints of whatever process leave to ends", async () => {
    const { clock, bench, broker, other, mint, settled } = await setUp({ per_second: 1, burst: 2 });
    const issued = await mint(broker);
    for (let mints = 0; mints < 5; mints++) mint(broker).catch(() => undefined);
    const ended = await settled(revoking(other).revoke(issued.handle, bench.call()));
    expect(ended()).toBe(true);
    const probed = await settled(revoking(other).probe(issued.handle, bench.call()));
    await clock.advance(1_000);
    expect(probed()).toBe(true);
  });

  test("costs a backend that has none no question to the ledger", async () => {
    const { bench, ledger, broker, mint } = await setUp({ concurrency: 4 });
    ledger.mood = "away";
    const issued = await mint(broker);
    await revoking(broker).revoke(issued.handle, bench.call());
    expect(ledger.calls).toBe(0);
  });
});

describe("a ledger that cannot be asked for a part of the rate", () => {
  test("stops mints at once, with nothing sent, until it can be", async () => {
    const { upstream, told, ledger, broker, mint } = await setUp({ per_second: 10 });
    ledger.mood = "away";
    const error = await backendErrorOf(mint(broker));
    expect([error.code, error.effect, error.retry]).toEqual([
      "backend_unavailable",
      "none",
      { kind: "after", seconds: 1 },
    ]);
    expect(error.message).toContain("the ledger");
    expect(upstream.calls).toEqual([]);
    expect(told).toEqual(["mints failed", "ledger"]);
    ledger.mood = "well";
    await expect(mint(broker)).resolves.toBeDefined();
  });

  test.each(["away", "hanging"] as const)(
    "stops no end while it is %s: they go on at a share of the rate",
    async (mood) => {
      const { clock, bench, ledger, broker, mint, settled } = await setUp({ per_second: 10 });
      const issued = await mint(broker);
      ledger.mood = mood;
      const revoked = await settled(revoking(broker).revoke(issued.handle, bench.call()));
      await clock.advance(mood === "away" ? 0 : 2_000);
      expect(revoked()).toBe(true);
      const before = ledger.calls;
      const probes = Array.from({ length: 4 }, () =>
        revoking(broker).probe(issued.handle, bench.call()),
      );
      const done = await Promise.all(probes.map(settled));
      const count = (): number => done.filter((isDone) => isDone()).length;
      // A fifth of ten a second.
      await clock.advance(499);
      expect(count()).toBe(0);
      await clock.advance(1_001);
      expect(count()).toBe(3);
      expect((await Promise.all(probes.slice(0, 3))).map(({ verdict }) => verdict)).toEqual([
        "refused",
        "refused",
        "refused",
      ]);
      // It is not asked again for each.
      expect(ledger.calls).toBe(before);
    },
  );

  test("leaves ends their share of a high rate as well", async () => {
    const { clock, bench, ledger, broker, mint, settled } = await setUp({ per_second: 500 });
    const issued = await mint(broker);
    ledger.mood = "away";
    const probes = Array.from({ length: 60 }, () =>
      revoking(broker).probe(issued.handle, bench.call()),
    );
    const done = await Promise.all(probes.map(settled));
    const count = (): number => done.filter((isDone) => isDone()).length;
    expect(count()).toBeLessThanOrEqual(10);
    // A hundred a second, and what is drawn of them at once.
    await clock.advance(300);
    expect(count()).toBeGreaterThanOrEqual(30);
    expect(count()).toBeLessThanOrEqual(40);
  });

  test("and answers when ends have gone on without it, is asked no sooner for that", async () => {
    const { clock, bench, ledger, broker, mint, settled } = await setUp({ per_second: 10 });
    const issued = await mint(broker);
    ledger.mood = "slow";
    const probes = Array.from({ length: 20 }, () =>
      revoking(broker).probe(issued.handle, bench.call()),
    );
    const done = await Promise.all(probes.map(settled));
    await clock.advance(6_999);
    // Two a second, after the two seconds for which the ledger was waited for.
    expect(done.filter((isDone) => isDone())).toHaveLength(10);
  });

  test("is asked again for ends, and then they have the whole rate", async () => {
    const { clock, bench, ledger, broker, mint, settled } = await setUp({ per_second: 10 });
    const issued = await mint(broker);
    ledger.mood = "away";
    await revoking(broker).revoke(issued.handle, bench.call());
    ledger.mood = "well";
    await clock.advance(5_000);
    const probes = Array.from({ length: 8 }, () =>
      revoking(broker).probe(issued.handle, bench.call()),
    );
    const done = await Promise.all(probes.map(settled));
    expect(done.every((isDone) => isDone())).toBe(true);
  });
});

describe("an upstream that asks for fewer calls", () => {
  test("pauses mints of all processes, for as long as it says", async () => {
    const { clock, upstream, told, broker, other, mint } = await setUp({ per_second: 10 });
    upstream.fail("issue", "rate_limited");
    const first = await backendErrorOf(mint(broker));
    expect(first.retry).toEqual({ kind: "after", seconds: 3 });
    const sent = upstream.calls.length;
    for (const process of [broker, other]) {
      const error = await backendErrorOf(mint(process));
      expect([error.effect, error.retry]).toEqual(["none", { kind: "after", seconds: 3 }]);
    }
    expect(upstream.calls.length).toBe(sent);
    expect(told).toContain("told to pause");
    await clock.advance(3_000);
    await expect(mint(other)).resolves.toBeDefined();
  });

  /** Ends of one lease, of which the bucket has one and promises the next in two seconds. */
  async function withEnds() {
    const scene = await setUp({ per_second: 0.5 });
    const { handle } = await scene.mint(scene.broker);
    const end = () => revoking(scene.broker).revoke(handle, scene.bench.call());
    return { ...scene, end };
  }
  const toldToWait = (seconds: number) =>
    ({ effect: "none", retry: { kind: "after", seconds } }) as const;

  test("is sent no mint that stands behind an end of its process: it is told at once", async () => {
    const { upstream, budget, broker, mint, settled, end } = await withEnds();
    await budget.pause(durationSeconds(3));
    const ended = await settled(end());
    const sent = upstream.calls.length;
    const refused = backendErrorOf(mint(broker));
    expect((await settled(refused))()).toBe(true);
    expect(await refused).toMatchObject(toldToWait(3));
    expect(ended()).toBe(false);
    expect(upstream.calls.length).toBe(sent);
  });

  test("is sent none that stood there before: it is told within a second", async () => {
    const { clock, budget, broker, mint, settled, end } = await withEnds();
    await end();
    const ended = await settled(end());
    const refused = backendErrorOf(mint(broker));
    const isTold = await settled(refused);
    await budget.pause(durationSeconds(3));
    await clock.advance(999);
    expect(isTold()).toBe(false);
    await clock.advance(1);
    expect(isTold()).toBe(true);
    expect(await refused).toMatchObject(toldToWait(2));
    expect(ended()).toBe(false);
  });

  test("is sent none of the process that heard it: those that wait are told at once", async () => {
    const { upstream, told, broker, mint, settled, end } = await withEnds();
    upstream.fail("revoke", "rate_limited");
    const [heard, next] = [backendErrorOf(end()), end()];
    const refused = backendErrorOf(mint(broker));
    expect((await settled(refused))()).toBe(true);
    const ended = await settled(next);
    expect((await heard).throttled).toBe(true);
    expect(await refused).toMatchObject(toldToWait(3));
    expect(ended()).toBe(false);
    expect(told.filter((each) => each === "paused")).toHaveLength(1);
  });

  test("is asked for no end by any process meanwhile, and then all are done", async () => {
    const { clock, bench, upstream, broker, other, mint, settled } = await setUp({
      per_second: 10,
    });
    const issued = await mint(broker);
    upstream.fail("revoke", "rate_limited");
    await backendErrorOf(revoking(broker).revoke(issued.handle, bench.call()));
    const again = await settled(revoking(other).revoke(issued.handle, bench.call()));
    await clock.advance(2_999);
    expect(again()).toBe(false);
    await clock.advance(1);
    expect(again()).toBe(true);
  });

  test("is heeded by the process that heard it, where the ledger cannot tell the others", async () => {
    const { clock, bench, ledger, upstream, broker, mint, settled } = await setUp({
      per_second: 10,
    });
    const issued = await mint(broker);
    ledger.mood = "hanging";
    upstream.fail("revoke", "rate_limited");
    const failing = backendErrorOf(revoking(broker).revoke(issued.handle, bench.call()));
    // For the token, and then for the pause, it waits so long for the ledger.
    await clock.advance(4_000);
    expect((await failing).throttled).toBe(true);
    const again = await settled(revoking(broker).revoke(issued.handle, bench.call()));
    await clock.advance(999);
    expect(again()).toBe(false);
    await clock.advance(1);
    expect(again()).toBe(true);
  });
});

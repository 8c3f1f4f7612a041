import { BackendError, InvalidInput, type CredentialBackend } from "@mayfly/spec";
import { FakeUpstream, createFakeBackend, createFakeClock } from "@mayfly/testkit";
import {
  BackendBench,
  backendErrorOf,
  describeBackendContract,
  fakeBackendSubject,
  revoking,
} from "@mayfly/testkit/contract";
import { describe, expect, test } from "vitest";
import { UNWATCHED_LIMITS as NOBODY, withLimits } from "./with-limits.ts";

const EVERY_LIMIT = {
  concurrency: 3,
  // Its clock stands still most of the time: the bucket has to hold all calls of the suite.
  per_second: 10_000,
  burst: 10_000,
  call_seconds_max: 5,
  breaker: { failures: 1_000 },
};

{
  const clock = createFakeClock();
  const upstream = new FakeUpstream({ clock });
  const backend = withLimits(createFakeBackend({ upstream }), NOBODY);
  const config = { limits: EVERY_LIMIT };
  const subject = { name: "fake, within limits", backend, upstream, clock, config };
  describeBackendContract(fakeBackendSubject(subject));
}

async function setUp(limits: Readonly<Record<string, unknown>>) {
  const clock = createFakeClock();
  const upstream = new FakeUpstream({ clock });
  const told: string[] = [];
  const backend: CredentialBackend = withLimits(createFakeBackend({ upstream }), {
    breaker: (of, state) => told.push(`${of} ${state}`),
    heldBack: (of, reason) => told.push(`${of} ${reason}`),
    drew: (of, use, outcome) => told.push(`${of} ${use} ${outcome}`),
    paused: (of) => told.push(`${of} was paused`),
  });
  const subject = fakeBackendSubject({ name: "", backend, upstream, clock, config: { limits } });
  const bench = new BackendBench({ backend }, await subject.start());
  return { clock, upstream, bench, told, open: revoking(bench.open) };
}

describe("the configuration", () => {
  const backend = withLimits(
    createFakeBackend({ upstream: new FakeUpstream({ clock: createFakeClock() }) }),
    NOBODY,
  );
  const config = { address: "fake.test", password: "canary" };

  test("is what it was where it has no limits", () => {
    expect(backend.parseConfig(config)).not.toHaveProperty("limits");
    expect(backend.describeConfig(backend.parseConfig(config))).not.toHaveProperty("limits");
  });
  test.each([
    [{ concurency: 1 }, "config.limits.concurency"],
    [{ concurrency: 0 }, "config.limits.concurrency"],
    [{ burst: 3 }, "config.limits.burst"],
    [{ call_seconds_max: 6 }, "config.limits.call_seconds_max"],
    [{ breaker: { failures: 0 } }, "config.limits.breaker.failures"],
    [null, "config.limits"],
  ])("with limits %j is refused by their place", (limits, place) => {
    const parse = (): unknown => backend.parseConfig({ ...config, limits });
    expect(parse).toThrow(InvalidInput);
    expect(parse).toThrow(place);
  });
  test("shows its limits", () => {
    const parsed = backend.parseConfig({ ...config, limits: { breaker: {} } });
    expect(backend.describeConfig(parsed)["limits"]).toEqual({
      breaker: { failures: 5, open_seconds: 30 },
    });
  });
  test("of a type that has a member of that name is nobody's", () => {
    const clash = { ...backend, configSchema: backend.configSchema };
    expect(() => withLimits(clash, NOBODY)).toThrow(/limits is the kit's own/);
  });
});

describe("the self-check", () => {
  test.each([
    [{ per_second: 0.4 }, /per_second: 0.5/],
    [{ per_second: 0.4, burst: 9 }, /per_second: 0.5/],
    [{ per_second: 0.9, burst: 1 }, /burst: 2/],
  ])("finds %j too little for ends, and says what to write", async (limits, fix) => {
    const { bench, open } = await setUp(limits);
    const { problems } = await open.selfCheck([], bench.call());
    expect(problems.map(({ code }) => code)).toEqual(["limits_below_ends"]);
    expect(problems[0]?.fix).toMatch(fix);
  });
  test.each([{ per_second: 0.5 }, { per_second: 0.5, burst: 2 }, { per_second: 1, burst: 1 }])(
    "finds %j enough",
    async (limits) => {
      const { bench, open } = await setUp(limits);
      expect((await open.selfCheck([], bench.call())).problems).toEqual([]);
    },
  );
});

describe("the breaker", () => {
  test("opens after failures in a row, and then nothing is sent", async () => {
    const { bench, upstream, told, open } = await setUp({
      breaker: { failures: 2, open_seconds: 10 },
    });
    upstream.fail("issue", "unavailable", 2);
    for (let failures = 0; failures < 2; failures++) {
      await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    }
    const sent = upstream.calls.length;
    const error = await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    expect([error.effect, error.retry]).toEqual(["none", { kind: "after", seconds: 10 }]);
    expect(upstream.calls.length).toBe(sent);
    expect(told).toEqual([
      "tested-backend closed",
      "tested-backend open",
      "tested-backend breaker",
    ]);
  });
  test("is not opened by refusals, which are answers", async () => {
    const { bench, upstream, open } = await setUp({ breaker: { failures: 1, open_seconds: 10 } });
    upstream.fail("issue", "refuse", 3);
    for (let refusals = 0; refusals < 3; refusals++) {
      await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    }
    await expect(open.issue(bench.plan(), bench.issueCall())).resolves.toBeDefined();
  });
  test("is not opened by what says nothing of the upstream", async () => {
    const { bench, clock, upstream, told, open } = await setUp({
      breaker: { failures: 1, open_seconds: 10 },
    });
    const late = bench.issueCall({ seconds: 1 });
    await clock.advance(2_000);
    const aborted = { ...bench.issueCall(), signal: AbortSignal.abort() };
    for (const call of [late, aborted]) {
      const error = await backendErrorOf(open.issue(bench.plan(), call));
      expect(error.retry.kind).toBe("after");
    }
    expect(upstream.calls).toEqual([]);
    expect(told).not.toContain("tested-backend open");
  });
  test("that mints opened holds back no end", async () => {
    const { bench, upstream, told, open } = await setUp({
      breaker: { failures: 1, open_seconds: 10 },
    });
    const issued = await open.issue(bench.plan(), bench.issueCall());
    upstream.fail("issue", "unavailable");
    await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    expect((await open.revoke(issued.handle, bench.call())).outcome).toBe("refused");
    expect((await open.probe(issued.handle, bench.call())).verdict).toBe("refused");
    await open.recover(bench.plan(), null, bench.recoverCall());
    expect(told).toEqual(["tested-backend closed", "tested-backend open"]);
  });
  test("is not opened by ends, however many fail", async () => {
    const { bench, upstream, told, open } = await setUp({ breaker: { failures: 1 } });
    const issued = await open.issue(bench.plan(), bench.issueCall());
    upstream.fail("revoke", "unavailable", 3);
    for (let ends = 0; ends < 3; ends++) {
      await backendErrorOf(open.revoke(issued.handle, bench.call()));
    }
    expect((await open.revoke(issued.handle, bench.call())).outcome).toBe("refused");
    expect(told).toEqual(["tested-backend closed"]);
  });
  test("is tried by a mint that is made, not by one that waits for its turn", async () => {
    const { bench, clock, upstream, told, open } = await setUp({
      concurrency: 1,
      breaker: { failures: 1, open_seconds: 10 },
    });
    const issued = await open.issue(bench.plan(), bench.issueCall());
    upstream.fail("issue", "unavailable");
    await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    await clock.advance(10_000);
    upstream.fail("revoke", "hang");
    const caller = new AbortController();
    const hanging = backendErrorOf(
      open.revoke(issued.handle, { ...bench.call(), signal: caller.signal }),
    );
    const waiting = open.issue(bench.plan(), bench.issueCall());
    await clock.advance(0);
    expect(told).not.toContain("tested-backend half_open");
    caller.abort();
    await hanging;
    await waiting;
    expect(told.slice(-2)).toEqual(["tested-backend half_open", "tested-backend closed"]);
  });
  test("lets one mint through at a time", async () => {
    const { bench, clock, upstream, open } = await setUp({
      breaker: { failures: 1, open_seconds: 10 },
    });
    upstream.fail("issue", "unavailable");
    await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    await clock.advance(10_000);
    upstream.fail("issue", "hang");
    const trial = backendErrorOf(open.issue(bench.plan(), bench.issueCall({ seconds: 3 })));
    trial.catch(() => undefined);
    await clock.advance(0);
    const sent = upstream.calls.length;
    await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    expect(upstream.calls.length).toBe(sent);
  });
  test("that is open still lets a self-check through, which closes nothing by failing", async () => {
    const { bench, upstream, open } = await setUp({ breaker: { failures: 1, open_seconds: 10 } });
    upstream.fail("issue", "unavailable");
    await backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    expect((await open.selfCheck([], bench.call())).problems).toEqual([]);
  });
});

describe("a call that gets no answer", () => {
  test("is given up after its seconds, with an unknown effect, and counts as a failure", async () => {
    const { bench, clock, upstream, told, open } = await setUp({
      call_seconds_max: 2,
      breaker: { failures: 1 },
    });
    upstream.fail("issue", "hang");
    const failing = backendErrorOf(open.issue(bench.plan(), bench.issueCall()));
    await clock.advance(2_000);
    const error = await failing;
    expect(BackendError.isBackendError(error) && error.effect).toBe("unknown");
    expect(told).toContain("tested-backend open");
  });
  test.each(["revoke", "probe", "recover", "list", "selfCheck"] as const)(
    "is no mint: %s takes the time that its caller gives it",
    async (operation) => {
      const { bench, clock, upstream, open } = await setUp({ call_seconds_max: 1 });
      const { listing: listed } = open;
      if (listed.kind === "none") throw new Error("the fake lists");
      const issued = await open.issue(bench.plan(), bench.issueCall());
      upstream.fail(operation, "hang");
      const caller = new AbortController();
      const context = bench.call(caller.signal);
      const call = {
        revoke: () => open.revoke(issued.handle, context),
        probe: () => open.probe(issued.handle, context),
        recover: () => open.recover(bench.plan(), null, { ...bench.recoverCall(), ...context }),
        list: () => listed.list(null, context),
        selfCheck: () => open.selfCheck([], context),
      }[operation];
      let over = false;
      const failing = backendErrorOf(call()).finally(() => {
        over = true;
      });
      await clock.advance(20_000);
      expect(over).toBe(false);
      caller.abort();
      await failing;
    },
  );
  test("holds its place, and whoever waits past its issueBy sends nothing", async () => {
    const { bench, clock, upstream, told, open } = await setUp({ concurrency: 1 });
    upstream.fail("issue", "hang");
    open.issue(bench.plan(), bench.issueCall()).catch(() => undefined);
    const waiting = backendErrorOf(open.issue(bench.plan(), bench.issueCall({ seconds: 3 })));
    await clock.advance(3_000);
    expect((await waiting).effect).toBe("none");
    expect(upstream.calls).toHaveLength(1);
    expect(told).toContain("tested-backend deadline");
  });
});

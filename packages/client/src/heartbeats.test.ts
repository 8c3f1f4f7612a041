import { describe, expect, test } from "vitest";
import { openTaskIn, withTaskIn } from "./open-task.ts";
import { createFakeBroker, type FakeBroker } from "./testing/fake-broker.ts";
import { testSurroundings, type TestSurroundings } from "./testing/test-surroundings.ts";
import { unsignedToken } from "./testing/unsigned-token.ts";
import type { Task } from "./task.ts";

const MINUTE_MS = 60_000;

interface World {
  readonly broker: FakeBroker;
  readonly around: TestSurroundings;
  proofs: number;
  open(): Promise<Task>;
}

function world(): World {
  const broker = createFakeBroker();
  const around = testSurroundings({}, { clock: broker.clientClock, fetch: broker.fetch });
  const made: World = {
    broker,
    around,
    proofs: 0,
    open: () =>
      openTaskIn(around, {
        url: broker.url,
        goal: "Wait",
        deadline: "1d",
        identity: {
          kind: "test",
          token: (audience) => unsignedToken(audience, `proof ${++made.proofs}`),
        },
      }),
  };
  return made;
}
const beats = ({ broker }: World, by: "token" | "proof"): number =>
  broker.calls.filter((call) => call === `beat by ${by}`).length;

describe("a task", () => {
  test("lives past its ten-minute tokens by heartbeats alone", async () => {
    const w = world();
    const task = await w.open();
    await w.broker.clock.advance(50 * MINUTE_MS);
    expect(task.isOpen).toBe(true);
    expect(beats(w, "token")).toBeGreaterThan(20);
  });

  test("with a long idle timeout has its token refreshed before it runs out", async () => {
    const w = world();
    w.broker.state.idleSeconds = 6 * 3_600;
    const task = await w.open();
    await w.broker.clock.advance(30 * MINUTE_MS);
    expect(task.isOpen).toBe(true);
    await task.complete();
    // Without a fresh proof: the token was good.
    expect(w.broker.calls.slice(-2)).toEqual(["beat by token", "complete"]);
  });

  test("outlives the age that a proof may have, by fresh ones in good time", async () => {
    const w = world();
    w.broker.state.proofSeconds = 900;
    const task = await w.open();
    await w.broker.clock.advance(24 * 60 * MINUTE_MS - MINUTE_MS);
    expect(task.lost).toBe(null);
    expect(w.proofs).toBeGreaterThan(90);
    expect(w.proofs).toBeLessThan(250);
  });

  test.each([2 * 24 * 60, -2 * 24 * 60])(
    "of a machine whose clock is %i minutes ahead proves itself as often, and knows what is left",
    async (minutes) => {
      const w = world();
      w.broker.state.proofSeconds = 900;
      w.broker.state.clientAheadMs = minutes * MINUTE_MS;
      const task = await w.open();
      const [credential] = task.credentials;
      expect(credential && task.leftMs(credential)).toBe(15 * MINUTE_MS);
      await w.broker.clock.advance(10 * 60 * MINUTE_MS);
      expect(task.lost).toBe(null);
      expect(w.proofs).toBeGreaterThan(35);
      expect(w.proofs).toBeLessThan(100);
      expect(beats(w, "token")).toBeLessThan(1_000);
    },
  );

  test("whose identity is no longer trusted is lost when its last token counts no more", async () => {
    const w = world();
    w.broker.state.proofSeconds = 900;
    const task = await w.open();
    w.broker.state.isIdentityTrusted = false;
    await w.broker.clock.advance(14 * MINUTE_MS);
    expect(task.isOpen).toBe(true);
    await w.broker.clock.advance(15 * MINUTE_MS);
    expect(task.lost).toMatchObject({ code: "task_lost" });
    expect(task.signal.reason).toBe(task.lost);
  });

  test("bears an outage shorter than its idle timeout, and is lost by a longer one", async () => {
    const w = world();
    const task = await w.open();
    await w.broker.clock.advance(99_000);
    w.broker.state.isUp = false;
    await w.broker.clock.advance(150_000);
    expect(task.isOpen).toBe(true);
    w.broker.state.isUp = true;
    await w.broker.clock.advance(20 * MINUTE_MS);
    expect(task.isOpen).toBe(true);
    w.broker.state.isUp = false;
    await w.broker.clock.advance(6 * MINUTE_MS);
    expect(task.lost?.message).toContain("for its whole idle timeout");
  });

  test("that the broker has ended is lost at the next heartbeat", async () => {
    const w = world();
    const task = await w.open();
    w.broker.state.isEnded = true;
    await w.broker.clock.advance(101_000);
    expect(task.lost?.message).toContain("is over");
    // The broker's own: of a task that was killed it says to open no other.
    expect(task.lost?.hint).toContain("Do otherwise.");
    expect(task.lost?.hint).not.toContain("open a new task");
    expect(task.signal.aborted).toBe(true);
  });
});

test("a source that hangs holds up no heartbeat while the last proof counts", async () => {
  const w = world();
  w.broker.state.proofSeconds = 900;
  w.broker.state.idleSeconds = 6;
  let hangs = false;
  const task = await openTaskIn(w.around, {
    url: w.broker.url,
    goal: "Wait",
    deadline: "1d",
    identity: {
      kind: "test",
      token: async (audience) => {
        if (hangs) await new Promise(() => undefined);
        return unsignedToken(audience, `proof ${++w.proofs}`);
      },
    },
  });
  hangs = true;
  let at = w.broker.clock.now();
  for (let second = 0; second < 14 * 60; second += 1) {
    const before = beats(w, "token");
    await w.broker.clock.advance(1_000);
    if (beats(w, "token") > before) at = w.broker.clock.now();
    expect(w.broker.clock.now() - at).toBeLessThan(6_000);
  }
  expect(task.isOpen).toBe(true);
  hangs = false;
  await w.broker.clock.advance(10 * MINUTE_MS);
  expect(task.isOpen).toBe(true);
  hangs = true;
  await w.broker.clock.advance(20 * MINUTE_MS);
  // And no longer: a program has to learn that its task is over.
  expect(task.lost?.message).toContain("within 15 s");
});

test("opening a task ends in time where the source hangs", async () => {
  const w = world();
  const opening = openTaskIn(w.around, {
    url: w.broker.url,
    goal: "Wait",
    deadline: "1d",
    identity: { kind: "test", token: () => new Promise<string>(() => undefined) },
  }).catch((error: unknown) => error);
  await w.broker.clock.advance(16_000);
  expect(await opening).toMatchObject({ code: "identity_unavailable" });
});

test("after the end nothing beats any more", async () => {
  const w = world();
  const task = await w.open();
  await task.complete();
  const before = w.broker.calls.length;
  await w.broker.clock.advance(60 * MINUTE_MS);
  expect(w.broker.calls.length).toBe(before);
  expect(w.broker.clock.sleepers).toBe(0);
});

test("what a lost task's callback answers is no success; what it throws comes out as it is", async () => {
  const w = world();
  const run = (inside: () => string): Promise<unknown> => {
    w.broker.state.isEnded = false;
    const options = {
      url: w.broker.url,
      goal: "Wait",
      deadline: 600,
      identity: { kind: "test", token: (audience: string) => unsignedToken(audience) },
    };
    const running = withTaskIn(w.around, options, async (task) => {
      w.broker.state.isEnded = true;
      await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
      return inside();
    });
    return running.catch((error: unknown) => error);
  };
  const answered = run(() => "done");
  await w.broker.clock.advance(3 * MINUTE_MS);
  expect(await answered).toMatchObject({ code: "task_lost" });
  const thrown = run(() => {
    throw new RangeError("mine");
  });
  await w.broker.clock.advance(3 * MINUTE_MS);
  expect(await thrown).toEqual(new RangeError("mine"));
  expect(w.around.warnings.map(({ message }) => message).join()).toContain("task_lost");
});

test("an end that nobody confirms hides neither result nor error, and is a warning", async () => {
  const w = world();
  const run = (inside: () => string): Promise<string> => {
    w.broker.state.isUp = true;
    const options = {
      url: w.broker.url,
      goal: "Wait",
      deadline: 600,
      identity: { kind: "test", token: (audience: string) => unsignedToken(audience) },
    };
    return withTaskIn(w.around, options, () => {
      w.broker.state.isUp = false;
      return inside();
    });
  };
  const result = run(() => "done");
  await w.broker.clock.advance(2 * MINUTE_MS);
  expect(await result).toBe("done");
  const failing = run(() => {
    throw new RangeError("mine");
  });
  const outcome = failing.catch((error: unknown) => error);
  await w.broker.clock.advance(2 * MINUTE_MS);
  expect(await outcome).toEqual(new RangeError("mine"));
  expect(w.around.warnings.map(({ message }) => message)).toEqual([
    expect.stringContaining("[end_unconfirmed"),
    expect.stringContaining("[end_unconfirmed"),
  ]);
});

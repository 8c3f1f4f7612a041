import fc from "fast-check";
import { expect, test } from "vitest";
import { instantMs, type Clock } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { MintBatcher, type Minted, type SendBatch } from "./mint-batcher.ts";
import type { Mint } from "./mint-message.ts";
import { PgFailure, SQLSTATE } from "./pg-failure.ts";

const mintOf = (name: string, clock: Clock, seconds = 10): Mint => ({
  name,
  verifier: "v",
  comment: "c",
  grant: {
    member_of: ["g"],
    owner: null,
    connection_limit: 1,
    search_path: null,
    statement_timeout_seconds: null,
    read_only: false,
  },
  expiresAt: instantMs(clock.now() + 60_000),
  issueBy: instantMs(clock.now() + seconds * 1000),
});
const never = (): AbortSignal => new AbortController().signal;
const minted = (mints: readonly Mint[]): ReadonlyMap<string, Minted> =>
  new Map(mints.map((mint, n) => [mint.name, { oid: n + 1, validUntil: mint.expiresAt }]));
const stateOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "minted",
    (error: unknown) => (error instanceof PgFailure ? error.kind : "other"),
  );

test("what comes in one turn goes together, and what comes meanwhile as the next batch", async () => {
  const clock = createFakeClock();
  const sizes: number[] = [];
  const send: SendBatch = async (beforeSend) => {
    const mints = beforeSend();
    sizes.push(mints.length);
    await clock.sleep(10);
    return minted(mints);
  };
  const batcher = new MintBatcher(send, clock, 1);
  const mint = (n: number) => batcher.mint(mintOf(`r${n}`, clock), never());
  const all = [mint(0), mint(1)];
  await clock.settle();
  all.push(...Array.from({ length: 98 }, (_, n) => mint(n + 2)));
  await clock.advance(50);
  expect((await Promise.all(all)).length).toBe(100);
  expect(sizes).toEqual([2, 64, 34]);
});

test("what waits is shared by the slots that are free", async () => {
  const clock = createFakeClock();
  const sizes: number[] = [];
  const send: SendBatch = async (beforeSend) => {
    const mints = beforeSend();
    sizes.push(mints.length);
    await clock.sleep(10);
    return minted(mints);
  };
  const batcher = new MintBatcher(send, clock, 4);
  const mint = (n: number) => batcher.mint(mintOf(`r${n}`, clock), never());
  const all = Array.from({ length: 10 }, (_, n) => mint(n));
  await clock.settle();
  expect(sizes).toEqual([3, 3, 2, 2]);
  all.push(mint(10));
  await clock.advance(50);
  expect((await Promise.all(all)).length).toBe(11);
  expect(sizes).toEqual([3, 3, 2, 2, 1]);
});

test("of a refused batch only the guilty fail, and nothing is sent twice after an answer is lost", () => {
  const clock = createFakeClock();
  return fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("good", "bad", "lost"), { minLength: 1, maxLength: 70 }),
      async (kinds) => {
        const lostSeen = new Map<string, number>();
        const send: SendBatch = async (beforeSend) => {
          const mints = beforeSend();
          for (const { name } of mints) {
            if (name.startsWith("lost")) lostSeen.set(name, (lostSeen.get(name) ?? 0) + 1);
          }
          if (mints.some(({ name }) => name.startsWith("bad"))) {
            throw new PgFailure("refused", "no such group", SQLSTATE.undefinedObject);
          }
          if (mints.some(({ name }) => name.startsWith("lost"))) {
            throw new PgFailure("lost", "connection cut");
          }
          return minted(mints);
        };
        const batcher = new MintBatcher(send, clock, 1);
        const states = await Promise.all(
          kinds.map((kind, n) => stateOf(batcher.mint(mintOf(`${kind}${n}`, clock), never()))),
        );
        for (const [n, kind] of kinds.entries()) {
          if (kind === "bad") expect(["refused", "lost"]).toContain(states[n]);
          if (kind === "lost") expect(states[n]).toBe("lost");
        }
        if (!kinds.includes("lost")) {
          expect(states).toEqual(kinds.map((kind) => (kind === "bad" ? "refused" : "minted")));
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("a deadlock is tried again, and only so often", async () => {
  const clock = createFakeClock();
  let sends = 0;
  const batcher = new MintBatcher(
    async (beforeSend) => {
      beforeSend();
      sends += 1;
      throw new PgFailure("refused", "deadlock detected", SQLSTATE.deadlock);
    },
    clock,
    1,
  );
  expect(await stateOf(batcher.mint(mintOf("a", clock), never()))).toBe("refused");
  expect(sends).toBe(3);
});

test("what waited past its deadline is not sent, and its companions are", async () => {
  const clock = createFakeClock();
  const sent: string[] = [];
  const batcher = new MintBatcher(
    async (beforeSend) => {
      // The pool's slot comes free only after two seconds.
      await clock.sleep(2_000);
      const mints = beforeSend();
      sent.push(...mints.map(({ name }) => name));
      return minted(mints);
    },
    clock,
    1,
  );
  const first = stateOf(batcher.mint(mintOf("first", clock), never()));
  await clock.settle();
  const short = batcher.mint(mintOf("short", clock, 3), never());
  const long = stateOf(batcher.mint(mintOf("long", clock, 30), never()));
  const refusal = short.catch((error: unknown) => error);
  await clock.advance(10_000);
  expect(await first).toBe("minted");
  expect(await refusal).toMatchObject({ kind: "refused", sqlstate: SQLSTATE.pastDeadline });
  expect(await long).toBe("minted");
  expect(sent).toEqual(["first", "long"]);
});

test("aborted before it is sent means nothing was sent, after it that nobody knows", async () => {
  const clock = createFakeClock();
  const batcher = new MintBatcher(
    async (beforeSend) => {
      const mints = beforeSend();
      await clock.sleep(1_000);
      return minted(mints);
    },
    clock,
    1,
  );
  const [underWay, waiting] = [new AbortController(), new AbortController()];
  const first = stateOf(batcher.mint(mintOf("a", clock), underWay.signal));
  await clock.settle();
  const states = [
    first,
    stateOf(batcher.mint(mintOf("b", clock), waiting.signal)),
    stateOf(batcher.mint(mintOf("c", clock), AbortSignal.abort())),
  ];
  await clock.settle();
  underWay.abort();
  waiting.abort();
  expect(await Promise.all(states)).toEqual(["lost", "not_sent", "not_sent"]);
});

test("the queue is bounded", async () => {
  const clock = createFakeClock();
  const batcher = new MintBatcher(() => new Promise(() => undefined), clock, 1);
  const states = Array.from({ length: 1_002 }, (_, n) => {
    const minting = stateOf(batcher.mint(mintOf(`r${n}`, clock), never()));
    return n === 1_001 ? minting : Promise.resolve("waits");
  });
  expect((await Promise.all(states)).at(-1)).toBe("not_sent");
});

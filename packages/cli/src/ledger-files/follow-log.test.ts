import { expect, test } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { runAgainst } from "../__fixtures__/run-against.ts";

const HASH = "a".repeat(64);
const header = (from: number, until: number, entries: number): string =>
  `${JSON.stringify({ from, until, log_entries: entries, before_hash: HASH })}\n`;
const entry = (index: number): string =>
  `${JSON.stringify({ log_index: index, chain_hash: `hash of ${index}` })}\n`;
const ok =
  (...lines: string[]) =>
  () =>
    new Response(lines.join(""));
const problem = (status: number) => () =>
  Response.json({ code: status === 503 ? "busy" : "forbidden" }, { status });
const unreachable = (): never => {
  throw new TypeError("fetch failed");
};

test("output that nobody takes any more ends it, and counts as not exported", async () => {
  let taken = 2;
  const { code, err } = await runAgainst(
    "http://127.0.0.1:1",
    "ledger export --follow --via broker",
    {
      fetch: async () => ok(header(0, 1, 2), entry(0))(),
      written: async () => (taken-- > 0 ? null : "EPIPE"),
    },
  );
  expect(code).toBe(3);
  expect(err).toContain("could not be written (EPIPE)");
});

/** Asks a broker that answers thus, one after the other, and is stopped after the last answer. */
async function follow(answers: readonly (() => Response)[]) {
  const clock = createFakeClock();
  const stop = new AbortController();
  const asked: string[] = [];
  const askedAt: number[] = [];
  const running = runAgainst("http://127.0.0.1:1", "ledger export --follow --via broker", {
    clock,
    interrupts: () => stop.signal,
    fetch: async (url) => {
      const answer = answers[asked.length];
      asked.push(new URL(url).searchParams.get("from") ?? "");
      askedAt.push(clock.now());
      if (answer === undefined) stop.abort();
      return (answer ?? unreachable)();
    },
  });
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  running.then(done, done);
  for (let turn = 0; turn < 1000 && !isDone; turn++) await clock.advance(500);
  return {
    ...(await running),
    asked,
    waits: askedAt.slice(1).map((at, n) => at - (askedAt[n] ?? 0)),
  };
}

test("asks at once for what there is, then each second; of ranges without entries it writes one", async () => {
  const { code, out, err, asked, waits } = await follow([
    ok(header(0, 1, 2), entry(0)),
    ok(header(1, 2, 2), entry(1)),
    ok(header(2, 2, 2)),
    ok(header(2, 3, 3), entry(2)),
  ]);
  expect(code).toBe(0);
  expect(asked).toEqual(["0", "1", "2", "2", "3"]);
  expect(waits).toEqual([0, 1000, 1000, 1000]);
  expect(out).toBe(
    [header(0, 1, 2), entry(0), header(1, 2, 2), entry(1), header(2, 3, 3), entry(2)].join(""),
  );
  expect(err).toContain("entries 0 to 2 exported\n  head hash of 2\n");
});

test("a log without entries is a header, once", async () => {
  const { code, out, err } = await follow([ok(header(0, 0, 0)), ok(header(0, 0, 0))]);
  expect({ code, out }).toEqual({ code: 0, out: header(0, 0, 0) });
  expect(err).toContain(`no entry from 0 on\n  head ${HASH}`);
});

test("waits for a broker that is away, longer each time, and writes nothing of half an answer", async () => {
  const { code, out, err, asked, waits } = await follow([
    ok(header(0, 1, 1), entry(0)),
    unreachable,
    problem(503),
    ok(header(1, 3, 3), entry(1)),
    ok(header(1, 3, 3), entry(1), entry(2)),
  ]);
  expect(code).toBe(0);
  expect(asked).toEqual(["0", "1", "1", "1", "1", "3"]);
  expect(waits).toEqual([1000, 1000, 2000, 4000, 1000]);
  expect(out).toBe([header(0, 1, 1), entry(0), header(1, 3, 3), entry(1), entry(2)].join(""));
  expect(err).toContain("No broker answers. Trying again from 1.");
});

test("what is refused ends it, and so does a broker that never answered", async () => {
  const refused = await follow([ok(header(0, 1, 1), entry(0)), problem(403)]);
  expect(refused).toMatchObject({ code: 4, asked: ["0", "1"] });
  expect(await follow([unreachable])).toMatchObject({ code: 5, asked: ["0"] });
});

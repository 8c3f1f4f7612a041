import { describe, expect, it, vi } from "vitest";
import { eventually } from "@mayfly/testkit/vitest";
import { createFakeClock } from "@mayfly/testkit";
import { ADMIN_TOKEN, createBrokerBench } from "../testing/broker-bench.ts";
import { rawRequest, serveBench, statusOf } from "../testing/served-bench.ts";
import { exchange, opened } from "../testing/token-form.ts";
import { pacedStream } from "./paced-stream.ts";

const PATH = "/v1/ledger/export";
const request = (query = "") =>
  rawRequest("GET", `${PATH}${query}`, [["Authorization", `Bearer ${ADMIN_TOKEN}`]]);

/** Lets the fake clock pass until `call` is answered: its pieces are paced. */
async function passing<T>(
  bench: Awaited<ReturnType<typeof createBrokerBench>>,
  call: Promise<T>,
): Promise<T> {
  let isOver = false;
  const over = call.finally(() => {
    isOver = true;
  });
  while (!isOver) await bench.clock.advance(25);
  return over;
}

describe("GET /v1/ledger/export", () => {
  it("streams the header and every entry, in log order, one JSON object a line", async () => {
    const bench = await createBrokerBench();
    opened(await exchange(bench, bench.identities.svid("bot")));
    const appended = await bench.ledger.sequencer.append(1000);
    const answer = await passing(bench, bench.admin("GET", PATH));
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
    const lines = answer.text.trimEnd().split("\n");
    const [header, ...entries] = lines.map((line): unknown => JSON.parse(line));
    expect(header).toMatchObject({ mayfly_ledger_export: 1, from: 0, until: appended });
    expect(entries).toMatchObject(Array.from({ length: appended }, (_, n) => ({ log_index: n })));
  });

  it("takes a range, refuses one beyond the end, and unknown parameters by name", async () => {
    const bench = await createBrokerBench();
    await bench.ledger.sequencer.append(1000);
    const part = await passing(bench, bench.admin("GET", `${PATH}?from=1&limit=2`));
    const lines = part.text.trimEnd().split("\n");
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ from: 1, until: 3 });
    expect(lines).toHaveLength(3);
    const beyond = await bench.admin("GET", `${PATH}?from=999999`);
    expect(beyond).toMatchObject({ status: 422, body: { code: "invalid_input", where: "from" } });
    for (const query of ["?until=3", "?from=-1", "?limit=0", "?limit=100001", "?from=1&from=2"]) {
      expect((await bench.admin("GET", PATH + query)).status).toBeGreaterThanOrEqual(400);
    }
  });

  it("is an administrator's alone", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    expect((await bench.call("GET", PATH)).status).toBe(401);
    expect((await bench.call("GET", PATH, { token: task.token })).status).toBe(403);
  });

  it("HEAD takes no place: nobody reads what it would stream", async () => {
    const bench = await createBrokerBench();
    await bench.ledger.sequencer.append(1000);
    for (let n = 0; n < 3; n++) expect((await bench.admin("HEAD", PATH)).status).toBe(200);
    expect((await passing(bench, bench.admin("GET", PATH))).status).toBe(200);
  });

  it("answers busy to a third at once, and has room when one of them is done", async () => {
    await using served = await serveBench();
    const { bench } = served;
    await bench.ledger.sequencer.append(1000);
    const first = [served.send(request()), served.send(request())];
    // Their pace is the clock's, which stands.
    await eventually(async () => {
      expect(statusOf(await served.send(request("?from=999999")))).toBe(503);
    });
    await passing(bench, Promise.all(first));
    expect(statusOf(await passing(bench, served.send(request())))).toBe(200);
  });
});

describe("a paced stream", () => {
  /** Pieces without end. */
  async function* pieces() {
    for (let n = 0; ; n++) yield `${n}\n`;
  }
  const stream = () => {
    const clock = createFakeClock();
    const [cut, done] = [vi.fn<() => void>(), vi.fn<() => void>()];
    return { clock, cut, done, body: pacedStream({ clock, pieces: pieces(), cut, done }) };
  };

  it("cuts off who takes nothing for 30 seconds, once, and lets the place go", async () => {
    const { clock, cut, done, body } = stream();
    const reader = body.getReader();
    await reader.read();
    await clock.advance(29_000);
    expect(cut).not.toHaveBeenCalled();
    await clock.advance(31_000);
    expect(cut).toHaveBeenCalledTimes(1);
    expect(done).toHaveBeenCalledTimes(1);
    await expect(reader.closed).rejects.toThrow("too long");
    expect(clock.sleepers).toBe(0);
  });

  it("reads on at its pace for who takes each piece, and stops when the reader goes", async () => {
    const { clock, cut, done, body } = stream();
    const reader = body.getReader();
    for (let n = 0; n < 4_000; n++) {
      const read = reader.read();
      await clock.advance(25);
      expect((await read).done).toBe(false);
    }
    expect(cut).not.toHaveBeenCalled();
    await reader.cancel();
    expect(done).toHaveBeenCalledTimes(1);
    await clock.advance(100_000);
    expect(cut).not.toHaveBeenCalled();
  });
});

import { expect, test } from "vitest";
import { parseBackendId, type BackendId } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { createSecondLooks } from "./second-looks.ts";

const ORDERS = parseBackendId("orders-db", "test");
const STOCK = parseBackendId("stock-db", "test");

function setUp() {
  const clock = createFakeClock();
  const stop = new AbortController();
  const looks: [BackendId, number][] = [];
  const again = createSecondLooks(clock, stop.signal, async (id) => {
    looks.push([id, Math.round(clock.monotonicMs())]);
  });
  return { clock, stop, looks, again };
}

test("a second look comes half a second after it was asked for, two a second at most", async () => {
  const { clock, looks, again } = setUp();
  for (let asked = 0; asked < 100; asked++) again.ask(ORDERS);
  await clock.advance(400);
  again.ask(ORDERS);
  again.ask(STOCK);
  await clock.advance(5_000);
  expect(looks).toEqual([
    [ORDERS, 500],
    [STOCK, 900],
    [ORDERS, 1000],
  ]);
  again.ask(ORDERS);
  await clock.advance(5_000);
  expect(looks).toHaveLength(4);
});

test("who stops waits for the look under way and for no other", async () => {
  const { clock, stop, looks, again } = setUp();
  again.ask(ORDERS);
  await clock.advance(100);
  stop.abort();
  await again.ended();
  again.ask(STOCK);
  await clock.advance(5_000);
  expect(looks).toEqual([]);
  expect(clock.sleepers).toBe(0);
});

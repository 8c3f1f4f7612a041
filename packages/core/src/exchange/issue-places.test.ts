import { describe, expect, test } from "vitest";
import { parseBackendId } from "@mayfly/spec";
import {
  createFakeAgent,
  createFakeClock,
  createFakeWorld,
  furnish,
  refusalOf,
} from "@mayfly/testkit";
import { createCore } from "../create-core.ts";
import { createIssuePlaces, PLACES_MAX, PLACES_MAX_OF_SILENT, SILENT_MS } from "./issue-places.ts";

const HUNG = parseBackendId("hung-db", "backend");
const OTHER = parseBackendId("orders-db", "backend");

function setUp() {
  const clock = createFakeClock();
  const places = createIssuePlaces(clock);
  const letGo: (() => void)[] = [];
  const begin = (many: number): readonly Promise<void>[] =>
    Array.from({ length: many }, () =>
      places.run(HUNG, () => new Promise<void>((resolve) => letGo.push(resolve))),
    );
  const refusal = (): unknown => {
    try {
      places.check(HUNG);
      return null;
    } catch (error) {
      return error;
    }
  };
  return { clock, places, begin, letGo, refusal };
}

describe("of the places for mints", () => {
  test("one backend gets so many, and another is not concerned", async () => {
    const { places, begin, letGo, refusal } = setUp();
    const first = begin(PLACES_MAX - 1);
    expect(refusal()).toBeNull();
    const last = begin(1);
    expect(refusal()).toMatchObject({
      code: "backend_unavailable",
      effect: "none",
      retryAfterSeconds: 1,
    });
    places.check(OTHER);
    for (const resolve of letGo) resolve();
    await Promise.all([...first, ...last]);
    expect(refusal()).toBeNull();
  });

  test("one that has been silent for a while gets fewer, and again all once it answers", async () => {
    const { clock, begin, letGo, refusal } = setUp();
    const first = begin(PLACES_MAX_OF_SILENT);
    expect(refusal()).toBeNull();
    await clock.advance(SILENT_MS);
    expect(refusal()).toMatchObject({ code: "backend_unavailable" });
    // What was answered after so long is no sign of life: it may have run out of time.
    letGo.shift()?.();
    await clock.advance(0);
    const later = begin(1);
    expect(refusal()).toMatchObject({ code: "backend_unavailable" });
    const [quick] = begin(1);
    letGo.pop()?.();
    await quick;
    expect(refusal()).toBeNull();
    for (const resolve of letGo) resolve();
    await Promise.all([...first, ...later]);
  });

  test("a mint that fails gives its place back", async () => {
    const { places, refusal } = setUp();
    for (let n = 0; n <= PLACES_MAX; n++) {
      const failed = places.run(HUNG, () => Promise.reject(new Error("no")));
      await expect(failed).rejects.toThrow("no");
    }
    expect(refusal()).toBeNull();
  });
});

test("a backend that hangs is refused before anything is reserved, and others issue", async () => {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  world.upstream.fail("issue", "hang", PLACES_MAX_OF_SILENT);
  const hanging = Array.from({ length: PLACES_MAX_OF_SILENT }, () => refusalOf(agent.open()));
  await world.clock.advance(SILENT_MS);
  const leases = world.ledger.inspect.leases().length;
  expect(await refusalOf(agent.open())).toMatchObject({ code: "backend_unavailable" });
  expect(world.ledger.inspect.leases()).toHaveLength(leases);
  const elsewhere = await agent.open({ credentials: [{ role: "other-db/reader" }] });
  expect(elsewhere.credentials).toHaveLength(1);
  await world.clock.advance(60_000);
  await Promise.all(hanging);
  await core.sweep(world.context());
  expect((await agent.open()).credentials).toHaveLength(1);
});

import { expect, test } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { TimedOut, within } from "./within.ts";

test("work that is in time answers, and leaves no sleeper behind", async () => {
  const clock = createFakeClock();
  expect(await within(clock, 100, "it", async () => "done")).toBe("done");
  expect(clock.sleepers).toBe(0);
});

test("work that fails in time fails as it does, and leaves no sleeper behind", async () => {
  const clock = createFakeClock();
  await expect(within(clock, 100, "it", () => Promise.reject(new Error("no")))).rejects.toThrow(
    "no",
  );
  expect(clock.sleepers).toBe(0);
});

test("work that is late is told so at the bound, and its late failure hurts nobody", async () => {
  const clock = createFakeClock();
  const late = Promise.withResolvers<never>();
  let seen: AbortSignal | null = null;
  const outcome = within(clock, 100, "it", (signal) => {
    seen = signal;
    return late.promise;
  }).catch((error: unknown) => error);
  await clock.advance(99);
  expect(seen).toMatchObject({ aborted: false });
  await clock.advance(1);
  expect(await outcome).toBeInstanceOf(TimedOut);
  expect(seen).toMatchObject({ aborted: true });
  late.reject(new Error("too late"));
  await clock.settle();
});

import { BackendError } from "@mayfly/spec";
import { expect, test } from "vitest";
import { MintTurns } from "./mint-turns.ts";

const never = new AbortController().signal;

test("mints go through one after the other, as many at once as there are turns", async () => {
  const turns = new MintTurns(2);
  const steps: string[] = [];
  const mint = (name: string): Promise<void> =>
    turns.run(never, async () => {
      steps.push(`${name} begins`);
      await Promise.resolve();
      steps.push(`${name} ends`);
    });
  await Promise.all(["a", "b", "c"].map(mint));
  expect(steps).toEqual(["a begins", "b begins", "a ends", "b ends", "c begins", "c ends"]);
});

test("a mint that is aborted while it waits had no effect, and takes nobody's turn", async () => {
  const turns = new MintTurns(1);
  const first = Promise.withResolvers<void>();
  const running = turns.run(never, () => first.promise);
  const caller = new AbortController();
  const waiting = turns.run(caller.signal, async () => "it ran").catch((error: unknown) => error);
  const next = turns.run(never, async () => "next");
  caller.abort(new Error("the caller's deadline"));
  const thrown = await waiting;
  expect(BackendError.isBackendError(thrown) && thrown.effect).toBe("none");
  first.resolve();
  expect(await next).toBe("next");
  await running;
});

test("a mint that fails gives its turn to the next", async () => {
  const turns = new MintTurns(1);
  const failing = turns.run(never, () => Promise.reject(new Error("it failed")));
  const next = turns.run(never, async () => "next");
  await expect(failing).rejects.toThrow("it failed");
  expect(await next).toBe("next");
});

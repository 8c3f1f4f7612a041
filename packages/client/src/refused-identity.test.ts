import { expect, test } from "vitest";
import { MayflyError } from "./mayfly-error.ts";
import { openTaskIn } from "./open-task.ts";
import { createFakeBroker } from "./testing/fake-broker.ts";
import { testSurroundings } from "./testing/test-surroundings.ts";
import { unsignedToken } from "./testing/unsigned-token.ts";

async function hintFor(expiresInSeconds: number | null): Promise<string | null> {
  const broker = createFakeBroker();
  broker.state.isIdentityTrusted = false;
  const around = testSurroundings({}, { clock: broker.clientClock, fetch: broker.fetch });
  const now = Math.floor(around.clock.now() / 1_000);
  const claims = expiresInSeconds === null ? {} : { exp: now + expiresInSeconds };
  const opening = openTaskIn(around, {
    url: broker.url,
    goal: "Look",
    deadline: "5m",
    identity: { kind: "test", token: (audience) => unsignedToken(audience, "t", claims) },
  });
  const refused: unknown = await opening.catch((error: unknown) => error);
  if (!MayflyError.is(refused)) throw new Error("it was not refused");
  expect(refused).toMatchObject({ code: "invalid_identity" });
  return refused.hint;
}

test("a fresh proof that is refused is told once while the last one counts, and the loss says why", async () => {
  const broker = createFakeBroker();
  broker.state.proofSeconds = 900;
  const around = testSurroundings({}, { clock: broker.clientClock, fetch: broker.fetch });
  const exp = Math.floor(around.clock.now() / 1_000) + 60;
  const task = await openTaskIn(around, {
    url: broker.url,
    goal: "Look",
    deadline: "1d",
    identity: { kind: "test", token: (audience) => unsignedToken(audience, "t", { exp }) },
  });
  broker.state.isIdentityTrusted = false;
  await broker.clock.advance(14 * 60_000);
  expect(task.isOpen).toBe(true);
  expect(around.warnings).toMatchObject([{ code: "identity_not_renewed" }]);
  expect(around.warnings[0]?.message).toContain("the token has been expired for");
  await broker.clock.advance(15 * 60_000);
  expect(task.lost?.hint).toContain("By this machine's clock the token has been expired for");
  expect(around.warnings).toHaveLength(1);
});

test("a proof that was refused and is expired here is said to be", async () => {
  expect(await hintFor(-90)).toBe(
    "By this machine's clock the token has been expired for 90 s. Do otherwise.",
  );
  expect(await hintFor(60)).toBe("Do otherwise.");
  expect(await hintFor(null)).toBe("Do otherwise.");
});

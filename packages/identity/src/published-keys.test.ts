import { expect, test } from "vitest";
import { BrokerError, type TaskTokens } from "@mayfly/spec";
import {
  createFakeClock,
  createFakeSealer,
  createFakeSigningKeyStore,
  seededRandom,
} from "@mayfly/testkit";
import { createTaskTokens } from "./task-tokens.ts";
import { defaultTaskTokensSettings } from "./task-tokens-settings.ts";

const MINUTE = 60_000;

test("keys are published for ten minutes without the ledger, so that a retired one is not for ever", async () => {
  const clock = createFakeClock();
  const store = createFakeSigningKeyStore();
  let isAway = false;
  const cutOff = createTaskTokens({
    issuer: "https://broker.test",
    store: {
      ...store,
      list: async () => {
        if (isAway) throw new BrokerError("ledger_unavailable", "The ledger is away.");
        return store.list();
      },
    },
    sealer: createFakeSealer(),
    clock,
    random: seededRandom("cut off"),
    settings: defaultTaskTokensSettings,
  });
  const published = async (tokens: TaskTokens): Promise<readonly unknown[]> =>
    (await tokens.jwks()).keys.map((each) => each["kid"]);
  await cutOff.rotate(clock.now());
  const [old] = await published(cutOff);
  isAway = true;
  await clock.advance(10 * MINUTE);
  expect(await published(cutOff)).toEqual([old]);
  await clock.advance(1);
  await expect(cutOff.jwks()).rejects.toMatchObject({
    code: "ledger_unavailable",
    retryAfterSeconds: 5,
  });
  isAway = false;
  expect(await published(cutOff)).toEqual([old]);
});

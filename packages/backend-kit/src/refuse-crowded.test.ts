import { expect, test } from "vitest";
import {
  ENDED_LEASES_MAX,
  idFromUuid,
  instantMs,
  type EndedLease,
  type EndedLeases,
} from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { refuseCrowded } from "./refuse-crowded.ts";

const lease: EndedLease = {
  leaseId: idFromUuid("lease", "018c0000-0000-7000-8000-000000000001"),
  endedAt: instantMs(0),
  expiresAt: instantMs(1),
};

test("nothing is issued while too many ended leases are listed, or nobody knows how many", async () => {
  const clock = createFakeClock();
  let answers = 0;
  let reading: () => number = () => ENDED_LEASES_MAX;
  const check = refuseCrowded(clock, "Test, issue", async (): Promise<EndedLeases> => {
    answers += 1;
    const leases = Array.from({ length: reading() }, () => lease);
    return { number: answers, readAt: clock.now(), leases };
  });
  const refusal = { effect: "none", retry: { kind: "after", seconds: 10 } };
  await expect(check()).rejects.toMatchObject(refusal);
  reading = () => ENDED_LEASES_MAX - 1;
  await expect(check()).rejects.toMatchObject(refusal);
  expect(answers).toBe(1);
  await clock.advance(1_000);
  await Promise.all([check(), check()]);
  expect(answers).toBe(2);
  reading = () => {
    throw new Error("the ledger is away");
  };
  await clock.advance(1_000);
  await expect(check()).rejects.toMatchObject({ effect: "none" });
  reading = () => 0;
  await check();
});

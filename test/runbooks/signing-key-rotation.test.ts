import { expect, test } from "vitest";
import { accepted, codeOf, grantedOf, startInstallation } from "../harness/index.ts";
import { isLetIn, opening } from "../crash/scene.ts";
import { openRunbook } from "./runbook.ts";

test("a planned rotation refuses no token; a leaked key is trusted no more, and work goes on", async () => {
  await using mayfly = await startInstallation();
  const [broker, other] = [await mayfly.startBroker(), await mayfly.startBroker()];
  await mayfly.register(broker);
  await mayfly.startWorker();
  await using runbook = await openRunbook("signing-key-rotation", mayfly);
  await runbook.set("MAYFLY_URL", broker.api.url);
  const granted = grantedOf(await broker.api.exchange(opening(mayfly, "rotated")));
  const beat = (token: string, at = broker) =>
    at.api.call(token, "POST", `/v1/tasks/${granted.taskId}/heartbeat`, {});

  expect(await runbook.follow("A planned rotation")).toContain("signs next");
  accepted(await beat(granted.taskToken), "heartbeat");
  accepted(await beat(granted.taskToken, other), "heartbeat at another broker");

  expect(await runbook.follow("A key that leaked")).toContain("1 active tasks");
  await runbook.follow("It is over when");
  for (const at of [broker, other]) {
    expect(codeOf(await beat(granted.taskToken, at))).toBe("unauthenticated");
  }
  expect(await isLetIn(granted.credential)).toBe(true);
  const proven = await beat(mayfly.svid("worker-bee"), other);
  accepted(proven, "fresh proof");
  const again = await broker.api.exchange(opening(mayfly, "after"));
  accepted(await beat(String((proven.body as { access_token: string }).access_token)), "new token");
  accepted(again, "exchange");
  const told = await runbook.follow("Tell the security team");
  expect(told).toMatch(/✓ [\d,]+ entries verified: 0 to \d+/);
  runbook.finish();
  await mayfly.assertNothingLeaks(broker);
});

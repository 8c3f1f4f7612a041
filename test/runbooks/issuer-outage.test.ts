import { expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { startTestOidcIssuer } from "@mayfly/testkit";
import {
  accepted,
  codeOf,
  grantedOf,
  READER,
  startInstallation,
  until,
  type RunningBroker,
} from "../harness/index.ts";
import { isLetIn, opening, SETTLE_MS_MAX, taskDetails } from "../crash/scene.ts";
import { openRunbook } from "./runbook.ts";

const POLICY = `@id("ci-reads-orders")
permit (principal, action in Action::"credential", resource == Role::"${READER}")
when { principal.trust_root == "ci" };`;

test("an issuer is down: known keys still count, ends work, others notice nothing", async () => {
  await using mayfly = await startInstallation();
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
  const issuer = await startTestOidcIssuer({ clock: systemClock, audience: mayfly.issuer });
  await using _closed = { [Symbol.asyncDispose]: () => issuer.close() };
  const trusted = { issuer: issuer.issuer, unsafe_allow_private_addresses: true };
  const trust = await broker.api.admin("PUT", "/v1/trust/ci", { kind: "oidc", config: trusted });
  accepted(trust, "trust");
  const policies = await broker.api.admin("GET", "/v1/policies");
  const { sources } = policies.body as { readonly sources: readonly unknown[] };
  const more = { sources: [...sources, { name: "ci.cedar", text: POLICY }] };
  accepted(await broker.api.admin("PUT", "/v1/policies", more), "policies");
  const exchange = (at: RunningBroker, ref: string) =>
    at.api.exchange({ subject: issuer.token(), details: taskDetails(ref) });
  const running = grantedOf(await exchange(broker, "running"));

  issuer.fail("status");
  const late = await mayfly.startBroker();
  await using runbook = await openRunbook("issuer-outage", mayfly);
  await runbook.set("MAYFLY_URL", broker.api.url);
  await runbook.set("ISSUER", issuer.issuer);
  await runbook.set("TASK", running.taskId);
  accepted(await exchange(broker, "known keys"), "an exchange by known keys");
  expect(codeOf(await exchange(late, "no keys"))).toBe("invalid_identity");
  accepted(await late.api.exchange(opening(mayfly, "another root")), "another root's exchange");
  const beat = `/v1/tasks/${running.taskId}/heartbeat`;
  accepted(await late.api.call(running.taskToken, "POST", beat, {}), "heartbeat");
  expect(await runbook.follow("1. See which root, and whether it is the issuer")).toContain("ci");
  await runbook.follow("2. Meanwhile");
  expect(await isLetIn(running.credential)).toBe(false);

  issuer.fail(null);
  await runbook.follow("3. It is over when");
  await until("the late broker to have keys", SETTLE_MS_MAX, async () => {
    return (await exchange(late, "again")).status === 200;
  });
  expect(await runbook.follow("Tell the security team")).toContain(running.taskId);
  runbook.finish();
  await mayfly.assertNothingLeaks(broker);
});

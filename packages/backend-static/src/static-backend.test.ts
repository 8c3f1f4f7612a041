import {
  Secret,
  parseId,
  plusSeconds,
  type PoolingHost,
  type IssueContext,
  type IssuePlan,
  type OpenBackend,
} from "@mayfly/spec";
import {
  createFakeClock,
  createRecordingLog,
  createTestBackendHost,
  seededRandom,
} from "@mayfly/testkit";
import { CONTRACT_HOLDER, freshLeaseId } from "@mayfly/testkit/contract";
import { expect, test } from "vitest";
import { staticBackend } from "./index.ts";

const SECRET = "canary-of-a-standing-secret";
const clock = createFakeClock();
const host = (installation = "testaaaa"): PoolingHost =>
  createTestBackendHost({
    clock,
    random: seededRandom(1),
    log: createRecordingLog(),
    installation,
  });
const opened = (secret = SECRET, of = host()): OpenBackend =>
  staticBackend.open(staticBackend.parseConfig({ secret, public: { user: "reports" } }), of);
const role = staticBackend.parseRole({ hands_out_a_secret_that_cannot_be_revoked: true });
const planned = (): IssuePlan =>
  staticBackend.plan({
    installation: host().installation,
    leaseId: freshLeaseId(),
    expiresAt: plusSeconds(clock.now(), 60),
    role,
    params: {},
    holder: CONTRACT_HOLDER,
  });
const context = (): IssueContext => ({
  clock,
  signal: new AbortController().signal,
  traceId: "",
  taskId: parseId("task", "task_0190a0a000007000800000000000a002", "task"),
  issueBy: plusSeconds(clock.now(), 5),
  checkpoint: async () => undefined,
});
async function looked(open: OpenBackend, handle: Secret) {
  if (open.revocation !== "none" || open.replaced === undefined) throw new Error("not so");
  return open.replaced(handle, context());
}

test("every grant of it names the risk, which policies see and have to accept", () => {
  expect(planned().grant).toEqual({ risk: "secret_outlives_the_lease" });
});

test("what is handed out is the secret and what is public, and its handle does not hold it", async () => {
  const issued = await opened().issue(planned(), context());
  const { secret, ...told } = issued.material;
  expect(secret instanceof Secret && secret.expose("reply")).toBe(SECRET);
  expect(told).toEqual({ user: "reports" });
  expect(issued.handle.expose("upstream")).not.toContain(SECRET);
});

test("other keys of the installation are no replacement: nothing ends by them", async () => {
  const { handle } = await opened().issue(planned(), context());
  const restored = opened(SECRET, host("testbbbb"));
  expect(await looked(restored, handle)).toMatchObject({ verdict: "accepted" });
  const firstForm = Secret.of(JSON.stringify({ v: 1, tag: host().tag("of other keys") }));
  expect(await looked(restored, firstForm)).toMatchObject({ verdict: "accepted" });
});

import { generateKeyPairSync } from "node:crypto";
import { systemClock } from "@mayfly/host";
import {
  BackendError,
  instantMs,
  parseId,
  plusSeconds,
  type IssueContext,
  type IssuePlan,
  type RecoverContext,
  type OpenBackend,
} from "@mayfly/spec";
import { CONTRACT_HOLDER, freshLeaseId } from "@mayfly/testkit/contract";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { webhookBackend } from "./webhook-backend.ts";
import { configAt, minterHost, startMinter } from "./testing/start-minter.ts";

type Answer = (request: Readonly<Record<string, unknown>>) => object;
let minter: Awaited<ReturnType<typeof startMinter>>;
let right: Readonly<Record<string, Answer>>;
let open: OpenBackend;
const host = minterHost();
const role = webhookBackend.parseRole({ allowed: { scopes: ["read"] } });

const opened = (more: object = {}): OpenBackend =>
  webhookBackend.open(webhookBackend.parseConfig({ ...configAt(minter.at), ...more }), host);
beforeAll(async () => {
  minter = await startMinter();
  right = { ...minter.operations };
  open = opened();
});
afterEach(() => {
  Object.assign(minter.operations, right);
});
afterAll(async () => {
  await open.close();
  await minter.stop();
});

const context = (): IssueContext => ({
  clock: systemClock,
  signal: new AbortController().signal,
  traceId: "",
  taskId: parseId("task", "task_0190a0a000007000800000000000a002", "task"),
  issueBy: instantMs(systemClock.now() + 5_000),
  checkpoint: async () => undefined,
});
const recovering = (settledForSeconds: number): RecoverContext => ({
  ...context(),
  settledForSeconds,
  found: async () => undefined,
});
const planned = (): IssuePlan =>
  webhookBackend.plan({
    installation: host.installation,
    leaseId: freshLeaseId(),
    expiresAt: plusSeconds(systemClock.now(), 60),
    role,
    params: {},
    holder: CONTRACT_HOLDER,
  });
async function issueError(of: OpenBackend = open): Promise<BackendError> {
  const thrown: unknown = await of.issue(planned(), context()).catch((error: unknown) => error);
  if (BackendError.isBackendError(thrown)) return thrown;
  throw new Error("it was issued");
}
/** As the reference minter answers, with something else in it. */
const issuedWith =
  (more: object): Answer =>
  (request) => ({ ...right["issue"]?.(request), ...more });
const problemsWith = async (operations: Readonly<Record<string, Answer>>) => {
  Object.assign(minter.operations, right, operations);
  return (await open.selfCheck([role], context())).problems.map(({ code }) => code);
};
const live = (): number =>
  Number(minter.db.prepare("SELECT count(*) AS n FROM leases WHERE ended = 0").get()?.["n"]);

test.each([
  ["an unknown member", issuedWith({ more: 1 })],
  ["no secret", issuedWith({ secret: {} })],
  ["a secret that is also public", issuedWith({ public: { token: "x" } })],
  ["a later expiry than asked", issuedWith({ expires_at: "2099-01-01T00:00:00Z" })],
  ["another result", (): object => ({ result: "done" })],
])(
  "an answer with %s may have had an effect, and none of it is repeated",
  async (_what, answer) => {
    Object.assign(minter.operations, { issue: answer });
    const error = await issueError();
    expect(error.effect).toBe("unknown");
    expect(error.message).toMatch(/^Webhook, issue: the minter/);
  },
);

test("a refusal has no effect where the minter says so, and may have one where it does not", async () => {
  const code = "quota";
  Object.assign(minter.operations, { issue: () => ({ result: "declined", effect: "none", code }) });
  const never = await issueError();
  expect([never.effect, never.retry.kind, never.message]).toEqual([
    "none",
    "never",
    "Webhook, issue: the minter declined: quota",
  ]);
  const retry_after_seconds = 7;
  const patient = { result: "declined", effect: "none", code, retry_after_seconds };
  Object.assign(minter.operations, { issue: () => patient });
  expect((await issueError()).retry).toEqual({ kind: "after", seconds: 7 });
  Object.assign(minter.operations, {
    issue: () => ({ result: "declined", effect: "unknown", code }),
  });
  expect((await issueError()).effect).toBe("unknown");
});

test("a minter cannot keep a name waiting for longer than its quarantine", async () => {
  Object.assign(minter.operations, { recover: () => ({ result: "wait", seconds: 86_400 }) });
  const secondsMax = host.quarantineSeconds + 60;
  const recover = async (settledForSeconds: number) =>
    open.recover(planned(), null, recovering(settledForSeconds));
  expect(await recover(secondsMax)).toMatchObject({ outcome: "wait", seconds: secondsMax });
  await expect(recover(secondsMax + 1)).rejects.toMatchObject({
    message: "Webhook, recover: the minter keeps the name past its quarantine",
    retry: { kind: "after", seconds: secondsMax },
  });
});

test("what a minter looked at is bounded, for the ledger keeps it", async () => {
  const members = (count: number, value: string): object =>
    Object.fromEntries(Array.from({ length: count }, (_, nth) => [`m${nth}`, value]));
  const recovered = async (looked: object) => {
    Object.assign(minter.operations, { recover: () => ({ result: "absent", looked }) });
    return open.recover(planned(), null, recovering(0));
  };
  const most = members(16, "x".repeat(256));
  expect(await recovered(most)).toEqual({ outcome: "absent", looked: most });
  for (const looked of [members(17, "x"), members(1, "x".repeat(257))]) {
    await expect(recovered(looked)).rejects.toThrow("has another form");
  }
});

test("a request under another key, or for another minter, is not looked at", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const signing_key = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  for (const more of [{ signing_key }, { audience: "https://other.test/" }]) {
    const other = opened(more);
    expect((await issueError(other)).message).toContain("status 401");
    await other.close();
  }
});

test("a minter that keeps its promises has no problem, and nothing is left of the trial", async () => {
  const before = live();
  const check = await open.selfCheck([role], context());
  expect(check.problems).toEqual([]);
  expect(check.facts).toMatchObject({ public_key: { kty: "OKP" }, trial: "minted and ended" });
  expect(check.facts["public_key"]).not.toHaveProperty("d");
  expect(live()).toBe(before);
});

test("a trial finds each promise that a minter does not keep, and leaves nothing", async () => {
  const before = live();
  const looked = { seen: 0 };
  expect(await problemsWith({ probe: () => ({ result: "refused", looked }) })).toEqual([
    "trial_not_accepted",
  ]);
  expect(await problemsWith({ list: () => ({ result: "listed", items: [], next: null }) })).toEqual(
    ["trial_not_listed"],
  );
  expect(await problemsWith({ probe: () => ({ result: "accepted", looked }) })).toEqual([
    "trial_not_ended",
  ]);
  const forgetful: Answer = (request) => {
    minter.db
      .prepare("DELETE FROM leases WHERE name = ? AND ended = 1")
      .run(String(request["name"]));
    return right["issue"]?.(request) ?? {};
  };
  expect(await problemsWith({ issue: forgetful })).toEqual(["trial_name_reused"]);
  const careless: Answer = (request) =>
    right["issue"]?.({ ...request, deadline: request["expires_at"] }) ?? {};
  expect(await problemsWith({ issue: careless })).toEqual(["trial_minted_late"]);
  expect(await problemsWith({ issue: () => ({ result: "odd" }) })).toEqual(["trial_not_minted"]);
  expect(live()).toBe(before);
});

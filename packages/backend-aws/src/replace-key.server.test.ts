import {
  CreateAccessKeyCommand,
  DeleteAccessKeyCommand,
  ListAccessKeysCommand,
  UpdateAccessKeyCommand,
} from "@aws-sdk/client-iam";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import {
  BackendError,
  instantMs,
  type CallContext,
  type Clock,
  type JsonObject,
  type OpenBackend,
  type Secret,
} from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";
import { backendErrorOf } from "@mayfly/testkit/contract";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { awsBackend } from "./aws-backend.ts";
import { KEY_ROTATION } from "./key-rotation.ts";
import { configAt, ROLE } from "./testing/aws-upstream.ts";
import { startMotoAccount, type MotoAccount } from "./testing/moto-account.ts";

const program = await requireOrExplain("moto");

/** Goes on by itself, and further where a test says so; waits between looks are short. */
const time = { laterMs: 0 };
const clock: Clock = {
  ...systemClock,
  now: () => instantMs(systemClock.now() + time.laterMs),
  sleep: (ms, signal) => systemClock.sleep(ms === 1_000 ? 20 : ms, signal),
};
const call = (): CallContext => ({ clock, signal: new AbortController().signal, traceId: "key" });

let account: MotoAccount;
let before: JsonObject;
beforeEach(async () => {
  time.laterMs = 0;
  account = await startMotoAccount();
  before = awsBackend.parseConfig(configAt(account, account.moto));
});
afterEach(() => account.stop());

async function using<T>(config: JsonObject, run: (open: OpenBackend) => Promise<T>): Promise<T> {
  const host = createTestBackendHost({
    clock,
    random: systemRandom,
    log: createRecordingLog(),
    apis: createOutboundApis(),
  });
  const open = awsBackend.open(awsBackend.parseConfig(config), host);
  try {
    return await run(open);
  } finally {
    await open.close();
  }
}
const letsIn = (config: JsonObject): Promise<boolean> =>
  using(config, async (open) => {
    try {
      const { problems } = await open.selfCheck([awsBackend.parseRole(ROLE)], call());
      return problems.length === 0;
    } catch (error) {
      if (BackendError.isBackendError(error)) return false;
      throw error;
    }
  });
const begin = (config = before): JsonObject =>
  KEY_ROTATION.begin(config, systemRandom, clock.now());
const obtain = (config: JsonObject): Promise<Secret | null> =>
  using(config, async ({ obtainSecret }) => (await obtainSecret?.(call())) ?? null);
const adopt = (config: JsonObject): Promise<void> =>
  using(config, async ({ adoptSecret }) => adoptSecret?.(call()));
function take(config: JsonObject, obtained: Secret | null): JsonObject {
  if (KEY_ROTATION.madeBy !== "upstream" || obtained === null) throw new Error("nothing obtained");
  return KEY_ROTATION.take(config, obtained);
}
const loginIn = (config: JsonObject): JsonObject => Object(config["credentials"]) as JsonObject;
const idIn = (config: JsonObject): unknown => loginIn(config)["access_key_id"];
/** Of the broker's user, as an administrator sees them. */
async function keys(): Promise<readonly unknown[]> {
  const { AccessKeyMetadata: found = [] } = await account.iam.send(
    new ListAccessKeysCommand({ UserName: "mayfly" }),
  );
  return found.map(({ AccessKeyId: id }) => id);
}
const old = () => ({ UserName: "mayfly", AccessKeyId: account.keys.access_key_id });

describe.runIf(program !== undefined)("the broker's own access key", () => {
  test("is used by nobody before it is adopted, so that one whose registering failed is deleted", async () => {
    const begun = begin();
    const unkept = take(begun, await obtain(begun));
    // As registering does before it keeps a configuration; then the process dies.
    expect(await letsIn(unkept)).toBe(true);
    time.laterMs = 120_000;
    const both = take(begun, await obtain(begun));
    await adopt(both);
    expect(await keys()).toEqual([idIn(both)]);
    expect(idIn(both)).not.toBe(idIn(unkept));
  });

  test("a second one that is somebody else's is named and left alone", async () => {
    const user = { UserName: "mayfly" };
    const { AccessKey: other } = await account.iam.send(new CreateAccessKeyCommand(user));
    time.laterMs = 120_000;
    const refused = await backendErrorOf(obtain(begin()));
    expect(refused.message).toContain(other?.AccessKeyId);
    expect(refused).toMatchObject({ effect: "none", retry: { kind: "never" } });
    expect(await keys()).toContain(other?.AccessKeyId);
    expect(await letsIn(before)).toBe(true);
  });

  test.each([
    [
      "deactivated",
      () => account.iam.send(new UpdateAccessKeyCommand({ ...old(), Status: "Inactive" })),
    ],
    ["deleted", () => account.iam.send(new DeleteAccessKeyCommand(old()))],
  ] as const)("that is %s already is what was wanted", async (_, done) => {
    const both = take(begin(), await obtain(begin()));
    await done();
    await adopt(both);
    expect(await keys()).toEqual([idIn(both)]);
    expect(await letsIn(both)).toBe(true);
  });

  test("that AWS does not know yet ends no other, and the other one is used", async () => {
    const made = { access_key_id: "AKIAUNKNOWNUNKNOWN00", secret_access_key: "of-no-key" };
    const begun = begin();
    const both = { ...begun, credentials: { ...loginIn(begun), ...made } };
    expect(await letsIn(both)).toBe(true);
    const error = await backendErrorOf(adopt(both));
    expect(error.message).toContain("rotate again");
    expect(await keys()).toEqual([account.keys.access_key_id]);
    // Gone at AWS: the next call obtains another one.
    const mended = take(both, await obtain(both));
    await adopt(mended);
    expect(await keys()).toEqual([idIn(mended)]);
  });

  test("is kept where its user lacks a right to replace it, and the error says what to allow", async () => {
    const refused = async (right: string, work: () => Promise<unknown>): Promise<void> => {
      await account.permit([right]);
      const error = await backendErrorOf(work());
      expect(error).toMatchObject({ effect: "none", retry: { kind: "never" } });
      expect(error.message).toContain(right);
      await account.permit();
    };
    const begun = begin();
    for (const right of ["iam:ListAccessKeys", "iam:CreateAccessKey"]) {
      await refused(right, () => obtain(begun));
    }
    expect(await keys()).toEqual([account.keys.access_key_id]);
    expect(await letsIn(before)).toBe(true);
    // A key whose secret was lost: whether anybody used it is asked before it is deleted.
    await obtain(begun);
    time.laterMs = 120_000;
    await refused("iam:GetAccessKeyLastUsed", () => obtain(begun));
    const both = take(begun, await obtain(begun));
    for (const right of ["iam:UpdateAccessKey", "iam:DeleteAccessKey"]) {
      await refused(right, () => adopt(both));
      expect(await letsIn(both)).toBe(true);
    }
    await adopt(both);
    expect(await keys()).toEqual([idIn(both)]);
  });
});

test("a user whose key is another account's login too, by a chain, is known as the same", () => {
  const key = { access_key_id: "AKIAOFTHEUSER0000001", secret_access_key: "canary" };
  const at = (account: string, credentials: object) => ({
    config: awsBackend.parseConfig({ account_id: account, region: "eu-central-1", credentials }),
    upstreamIdentity: `aws:${account}`,
  });
  const own = at("123456789012", { kind: "keys", ...key });
  const begun = { ...own, config: begin(own.config) };
  const other = { kind: "keys", ...key, access_key_id: "AKIAOFANOTHER0000001" };
  const account = "210987654321";
  expect(KEY_ROTATION.sharesLogin(begun, at(account, { kind: "keys", ...key }))).toBe(true);
  expect(KEY_ROTATION.sharesLogin(begun, at(account, other))).toBe(false);
  expect(KEY_ROTATION.sharesLogin(begun, at(account, { kind: "default" }))).toBe(false);
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startMoto, type EmbeddedMoto } from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import {
  accepted,
  at,
  startInstallation,
  textAt,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

/**
 * From an exchange to a session of AWS, and from the end of its task to the deny of it, through
 * real processes; moto is AWS. Who is denied is what `packages/backend-aws` proves by an evaluator.
 */
const hasMoto = await isInstalled("moto");
const ACCOUNT = "123456789012";
/** `AWS_TEST_ROUNDS=50` measures the page's times. */
const ROUNDS = Number(process.env["AWS_TEST_ROUNDS"] ?? "2");
const END_MS_MAX = 120_000;

describe.skipIf(!hasMoto)("a task with a session of AWS", () => {
  let mayfly: Installation;
  let broker: RunningBroker;
  let moto: EmbeddedMoto;

  beforeAll(async () => {
    const started = await startMoto();
    if (started.missing !== undefined) throw new TypeError("moto is missing");
    moto = started;
    await iam({ Action: "CreateRole", RoleName: "reader", AssumeRolePolicyDocument: TRUST });
    mayfly = await startInstallation();
    broker = await mayfly.startBroker();
    await mayfly.startWorker();
    await mayfly.register(broker);
    const origin = `http://${moto.host}:${moto.port}`;
    await put("/v1/backends/cloud", {
      type: "aws",
      config: {
        account_id: ACCOUNT,
        region: "eu-central-1",
        credentials: { kind: "keys", access_key_id: "A".repeat(20), secret_access_key: "own" },
        endpoints: { sts: origin, iam: origin },
        tls: "unsafe_disable",
        unsafe_propagation_seconds: 1,
        // moto answers one request after the other, on a busy machine late.
        call_seconds_max: 5,
      },
    });
    await put("/v1/roles/cloud/orders", {
      iam_roles: ["reader"],
      statements: [{ actions: ["s3:GetObject"], resources: ["arn:aws:s3:::orders/*"] }],
      description: "Orders, to look at",
      ttl_max: "30m",
      data_class: "internal",
      reversibility: "read_only",
      environment: "test",
    });
  });
  afterAll(async () => {
    await mayfly?.[Symbol.asyncDispose]();
    await moto?.stop();
  });

  async function put(path: string, body: object): Promise<void> {
    accepted(await broker.api.admin("PUT", path, body), path);
  }
  /** As an administrator of the account: moto asks nobody for rights here. */
  async function iam(form: Readonly<Record<string, string>>): Promise<string> {
    const credential = "Credential=admin/20260101/us-east-1/iam/aws4_request";
    const answer = await fetch(`http://${moto.host}:${moto.port}/`, {
      method: "POST",
      headers: { authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host, Signature=x` },
      body: new URLSearchParams({ Version: "2010-05-08", ...form }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${form["Action"]}: ${text}`);
    return text;
  }
  /** All that the role's inline policies say. */
  async function denies(): Promise<string> {
    const list = await iam({ Action: "ListRolePolicies", RoleName: "reader" });
    const names = [...list.matchAll(/mayfly-deny\.[\w.-]+/g)].map(([name]) => name);
    const texts = names.map((PolicyName) =>
      iam({ Action: "GetRolePolicy", RoleName: "reader", PolicyName }).catch(() => ""),
    );
    return decodeURIComponent((await Promise.all(texts)).join("\n"));
  }

  const open = (ref: string): Promise<Reply> =>
    broker.api.exchange({
      subject: mayfly.svid("worker-bee"),
      details: {
        type: "mayfly-task",
        goal: "read an order",
        ref,
        deadline: "10m",
        credentials: [{ role: "cloud/orders", ttl: "10m" }],
      },
    });
  const complete = async (reply: Reply): Promise<void> => {
    const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
    accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
  };
  const leaseOf = (reply: Reply): Promise<Reply> =>
    broker.api.admin("GET", `/v1/leases/${textAt(reply, "credentials", 0, "lease")}`);
  const sessionOf = (reply: Reply): string =>
    textAt(reply, "credentials", 0, "data", "assumed_role_arn").replace(/^.*\//, "");
  const untilRevoked = (reply: Reply): Promise<unknown> =>
    until("the lease to be revoked", END_MS_MAX, async () => {
      return at(await leaseOf(reply), "outcome") === "revoked";
    });

  test("is denied by name once the task has ended, and revoked once that is known everywhere", async () => {
    const [mine, other] = [await open("mine"), await open("other")];
    for (const name of ["access_key_id", "secret_access_key", "session_token", "region"]) {
      expect(textAt(mine, "credentials", 0, "data", name)).not.toBe("");
    }
    expect(await denies()).toBe("");
    await complete(mine);
    await until("the deny", END_MS_MAX, async () => (await denies()).includes(sessionOf(mine)));
    const first = await leaseOf(mine);
    if (at(first, "outcome") === null) {
      expect(first.text).toMatch(/"propagating"|"unsettled"|"live"/);
    }
    await untilRevoked(mine);
    const left = await denies();
    expect(left).toContain(`*:${sessionOf(mine)}`);
    expect(left).not.toContain(sessionOf(other));
    await complete(other);
    await untilRevoked(other);
  });

  test("a deny that somebody takes away is back with the next listing", async () => {
    const reply = await open("taken away");
    await complete(reply);
    await untilRevoked(reply);
    const list = await iam({ Action: "ListRolePolicies", RoleName: "reader" });
    for (const [PolicyName] of list.matchAll(/mayfly-deny\.[\w.-]+/g)) {
      await iam({ Action: "DeleteRolePolicy", RoleName: "reader", PolicyName });
    }
    expect(list).toContain("mayfly-deny.");
    await until("the deny to be back", END_MS_MAX, async () =>
      (await denies()).includes(sessionOf(reply)),
    );
  });

  test(`times of ${ROUNDS}, one after the other`, async () => {
    const mints: number[] = [];
    const ends: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const began = performance.now();
      const reply = await open(`round-${round}`);
      const minted = performance.now();
      await complete(reply);
      await until("the deny", END_MS_MAX, async () => (await denies()).includes(sessionOf(reply)));
      mints.push(minted - began);
      ends.push(performance.now() - minted);
    }
    expect(ends).toHaveLength(ROUNDS);
    const of = (times: readonly number[], part: number): string =>
      (times.toSorted((a, b) => a - b)[Math.floor((times.length - 1) * part)] ?? 0).toFixed(0);
    process.stderr.write(
      `AWS on moto, ${ROUNDS} rounds: exchange p50 ${of(mints, 0.5)} ms; end to deny p50 ` +
        `${of(ends, 0.5)} ms, p99 ${of(ends, 0.99)} ms\n`,
    );
  });
});

const TRUST = JSON.stringify({
  Version: "2012-10-17",
  Statement: { Effect: "Allow", Principal: { AWS: "*" }, Action: "sts:AssumeRole" },
});

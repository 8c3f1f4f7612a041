import { startMoto } from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  startInstallation,
  textAt,
  until,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";

/**
 * Ends that count only once others know of them, through real processes: each is over when its
 * backend said. The worker sweeps as it starts and not again in this time, so whatever is revoked
 * here was woken for.
 */
const hasMoto = await isInstalled("moto");
const SWEEP_SECONDS = "300";
const ENDED_MS_MAX = 200_000;
const ROLE = {
  description: "To look at orders",
  ttl_max: "10m",
  data_class: "internal",
  reversibility: "read_only",
  environment: "test",
};

let mayfly: Installation;
let broker: RunningBroker;
beforeAll(async () => {
  mayfly = await startInstallation({ settings: { MAYFLY_SWEEP_INTERVAL_SECONDS: SWEEP_SECONDS } });
  broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(broker);
});
afterAll(() => mayfly?.[Symbol.asyncDispose]());

async function put(path: string, body: object): Promise<void> {
  accepted(await broker.api.admin("PUT", path, body), path);
}
/** Draws a credential of the backend's one role and completes its task. */
async function drawAndEnd(role: string): Promise<void> {
  const reply = await broker.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "look at an order",
      deadline: "10m",
      credentials: [{ role, ttl: "10m" }],
    },
  });
  const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
  accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
}

/** How long after the moment until which it propagated, as its history tells, it was revoked. */
async function revokedAfterMs(backend: string, role: string): Promise<number> {
  await drawAndEnd(`${backend}/${role}`);
  await until(`the lease of ${backend} to be revoked`, ENDED_MS_MAX, async () => {
    const [row] = await mayfly.ledger<{ n: number }[]>`
      SELECT count(*)::int AS n FROM mayfly.leases
      WHERE backend_id = ${backend} AND outcome = 'revoked'`;
    return row?.n === 1;
  });
  const [last] = await mayfly.ledger<{ told: number; ended: number }[]>`
    SELECT (e.data -> 'exposure' ->> 'until')::float8 AS told,
      (extract(epoch FROM l.ended_at) * 1000)::float8 AS ended
    FROM mayfly.events AS e JOIN mayfly.leases AS l ON l.id = e.lease_id
    WHERE l.backend_id = ${backend} AND e.kind = 'lease.waiting'
      AND e.data -> 'exposure' ->> 'reason' = 'propagating'
    ORDER BY told DESC LIMIT 1`;
  const afterMs = (last?.ended ?? Number.NaN) - (last?.told ?? Number.NaN);
  process.stderr.write(
    `${backend}: revoked ${Math.round(afterMs)} ms after its backend's moment\n`,
  );
  return afterMs;
}

test("a client certificate is revoked when the lists without it have run out", async () => {
  await put("/v1/backends/ca", {
    type: "x509",
    config: {
      domains: ["acme.test"],
      crl_seconds: 10,
      connection_seconds_max: 0,
      leeway_seconds: 0,
    },
  });
  await put("/v1/roles/ca/agent", { uris: ["spiffe://acme.test/orders-agent"], ...ROLE });
  expect(await revokedAfterMs("ca", "agent")).toBeGreaterThanOrEqual(0);
});

describe.skipIf(!hasMoto)("with moto as AWS", () => {
  test("a session is revoked when its deny is known everywhere", async () => {
    const moto = await startMoto();
    if (moto.missing !== undefined) throw new TypeError("moto is missing");
    await using _moto = { [Symbol.asyncDispose]: () => moto.stop() };
    const origin = `http://${moto.host}:${moto.port}`;
    const credential = "Credential=admin/20260101/us-east-1/iam/aws4_request";
    const made = await fetch(origin, {
      method: "POST",
      headers: { authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host, Signature=x` },
      body: new URLSearchParams({
        Version: "2010-05-08",
        Action: "CreateRole",
        RoleName: "reader",
        AssumeRolePolicyDocument: TRUST,
      }),
    });
    expect(made.ok).toBe(true);
    await put("/v1/backends/cloud", {
      type: "aws",
      config: {
        account_id: "123456789012",
        region: "eu-central-1",
        credentials: { kind: "keys", access_key_id: "A".repeat(20), secret_access_key: "own" },
        endpoints: { sts: origin, iam: origin },
        tls: "unsafe_disable",
        unsafe_propagation_seconds: 8,
        call_seconds_max: 5,
      },
    });
    await put("/v1/roles/cloud/orders", {
      iam_roles: ["reader"],
      statements: [{ actions: ["s3:GetObject"], resources: ["arn:aws:s3:::orders/*"] }],
      ...ROLE,
      ttl_max: "30m",
    });
    expect(await revokedAfterMs("cloud", "orders")).toBeGreaterThanOrEqual(0);
  });
});

const TRUST = JSON.stringify({
  Version: "2012-10-17",
  Statement: { Effect: "Allow", Principal: { AWS: "*" }, Action: "sts:AssumeRole" },
});

import { connect } from "node:net";
import { once } from "node:events";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { createTestSigningKey, signCompact, type TestSigningKey } from "@mayfly/testkit";
import {
  accepted,
  at,
  BACKEND,
  codeOf,
  grantedOf,
  leaseRoleOf,
  listAt,
  READER,
  rolesNow,
  startInstallation,
  textAt,
  until,
  WRITER,
  type Credential,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

/**
 * The conformance of the HTTP API where it is easiest to lose: real processes, a real
 * PostgreSQL.
 */
let mayfly: Installation;
let one: RunningBroker;
let other: RunningBroker;
let ciKey: TestSigningKey;
beforeAll(async () => {
  mayfly = await startInstallation();
  one = await mayfly.startBroker();
  other = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(one);
  ciKey = createTestSigningKey("ci-1");
  const config = { issuer: CI, jwks: { keys: [ciKey.publicJwk] }, one_time_tokens: true };
  accepted(await one.api.admin("PUT", "/v1/trust/ci", { kind: "oidc", config }), "trust");
  const text = `@id("ci") permit (principal, action, resource) when { principal.trust_root == "ci" };`;
  const before = await one.api.admin("GET", "/v1/policies");
  const sources = [...listAt(before, "sources"), { name: "ci.cedar", text }];
  accepted(await one.api.admin("PUT", "/v1/policies", { sources }), "policies");
});
afterAll(() => mayfly[Symbol.asyncDispose]());

const CI = "https://ci.system.test";
const SETTLE_MS_MAX = 120_000;

const task = (change: Readonly<Record<string, unknown>> = {}): unknown => ({
  type: "mayfly-task",
  goal: "Reconcile the October invoices",
  deadline: "5m",
  credentials: [{ role: READER }],
  ...change,
});
const ciToken = (jti: string): string => {
  const now = Math.floor(systemClock.now() / 1000);
  return signCompact(
    ciKey,
    { alg: "ES256", kid: "ci-1", typ: "JWT" },
    { iss: CI, sub: "repo", aud: mayfly.issuer, iat: now, exp: now + 300, jti },
  );
};

async function canLogIn(credential: Credential, tries = 5): Promise<boolean> {
  const { host, port, database, username, password } = credential;
  const sql = postgres({ host, port, database, username, password, max: 1, connect_timeout: 30 });
  try {
    await sql`SELECT count(*) FROM orders`;
    return true;
  } catch (error) {
    if (error instanceof postgres.PostgresError) return false;
    // The server closes at once behind its refusal, which can be faster than our first write.
    if (tries > 1) return await canLogIn(credential, tries - 1);
    throw error;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const end = (broker: RunningBroker, token: string, id: string, body: unknown = {}) =>
  broker.api.call(token, "POST", `/v1/tasks/${id}/complete`, body);

describe("a credential", () => {
  test("works from the reply on, and no more when `complete` with `wait` has answered", async () => {
    const reply = await one.api.exchange({ subject: mayfly.svid("bot"), details: task() });
    const { credential, taskId, taskToken, lease } = grantedOf(reply);
    expect(at(reply, "credentials", 0)).toMatchObject({
      kind: "postgres-password",
      expiry_enforced_by: "login_only",
      revocation: "immediate",
    });
    expect(credential.username).toBe(leaseRoleOf(mayfly.id, lease));
    expect(await canLogIn(credential)).toBe(true);
    const ended = await end(other, taskToken, taskId, { wait: "20s" });
    expect(ended.body).toMatchObject({
      task: { state: "completed" },
      leases: [{ id: lease, state: "ended", outcome: "revoked", exposure: { kind: "none" } }],
    });
    expect(await canLogIn(credential)).toBe(false);
  });
  test("is in no answer but its own, and in no process's log", async () => {
    const { credential, taskId, taskToken, lease } = grantedOf(
      await one.api.exchange({ subject: mayfly.svid("bot"), details: task() }),
    );
    const paths = [`/v1/tasks/${taskId}/chain`, `/v1/leases/${lease}`, "/v1/events?limit=1000"];
    for (const path of paths) {
      expect((await one.api.admin("GET", path)).text).not.toContain(credential.password);
    }
    for (const process of mayfly.processes) {
      expect(process.output()).not.toContain(credential.password);
      expect(process.output()).not.toContain(taskToken);
    }
    await end(one, taskToken, taskId, { wait: "20s" });
  });
  test("that was declared for later comes from the other broker, under the same task", async () => {
    const details = task({ credentials: [{ role: WRITER, issue: "later" }] });
    const opening = await one.api.exchange({ subject: mayfly.svid("bot"), details });
    const [id, token] = [textAt(opening, "task", "id"), textAt(opening, "access_token")];
    const draw = (role: string): Promise<Reply> =>
      other.api.exchange({
        subject: token,
        isTaskToken: true,
        details: { type: "mayfly-task", task: id, credentials: [{ role }] },
      });
    const later = grantedOf(await draw(WRITER));
    expect(later.taskId).toBe(id);
    expect(await canLogIn(later.credential)).toBe(true);
    expect(at(await draw(READER), "error")).toBe("invalid_authorization_details");
    await end(one, token, id, { wait: "20s" });
    expect(at(await draw(WRITER), "error")).toBe("invalid_request");
  });
  test("of a child dies with the parent's end, whoever holds the child", async () => {
    const parent = grantedOf(
      await one.api.exchange({ subject: mayfly.svid("bot"), details: task() }),
    );
    const child = grantedOf(
      await other.api.exchange({
        subject: parent.taskToken,
        isTaskToken: true,
        actor: mayfly.svid("vat-bot"),
        details: task({ parent: parent.taskId, deadline: "1m" }),
      }),
    );
    expect(await canLogIn(child.credential)).toBe(true);
    const ended = await end(one, parent.taskToken, parent.taskId, { wait: "20s" });
    expect(listAt(ended, "leases")).toHaveLength(2);
    expect(await canLogIn(child.credential)).toBe(false);
    const beat = `/v1/tasks/${child.taskId}/heartbeat`;
    expect(codeOf(await one.api.call(child.taskToken, "POST", beat, {}))).toBe("task_ended");
  });
});

describe("an exchange", () => {
  test("that is explained makes nothing at the customer's", async () => {
    const before = await rolesNow(mayfly.customer, mayfly.id);
    const body = new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: mayfly.svid("bot"),
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      authorization_details: JSON.stringify([task()]),
    });
    const response = await fetch(`${one.api.url}/v1/explain`, { method: "POST", body });
    expect(await response.json()).toMatchObject({
      workload: "spiffe://system.test/agent/bot",
      credentials: [{ role: READER, effect: "permit", would: { kind: "postgres-password" } }],
    });
    expect(await rolesNow(mayfly.customer, mayfly.id)).toEqual(before);
  });
  test("with a one-time token counts once, whichever broker it is sent to", async () => {
    const replies = await Promise.all(
      [one, other, one, other].map(({ api }) =>
        api.exchange({ subject: ciToken("jti-1"), details: task({ ref: "once" }) }),
      ),
    );
    const granted = replies.filter(({ status }) => status === 200).map(grantedOf);
    expect(granted).toHaveLength(1);
    const refused = replies.filter(({ status }) => status !== 200).map(codeOf);
    expect(refused).toEqual(["replayed", "replayed", "replayed"]);
    for (const { taskId, taskToken } of granted) await end(one, taskToken, taskId, { wait: "20s" });
  });
  test("repeated with its key at another broker is the same task with another secret", async () => {
    const subject = ciToken("jti-2");
    const exchange = { subject, details: task(), idempotencyKey: "k2" };
    const first = grantedOf(await one.api.exchange(exchange));
    const again = grantedOf(await other.api.exchange(exchange));
    expect(again.taskId).toBe(first.taskId);
    expect(again.credential.username).not.toBe(first.credential.username);
    await until("the first generation to be refused", SETTLE_MS_MAX, async () => {
      return !(await canLogIn(first.credential));
    });
    expect(await canLogIn(again.credential)).toBe(true);
    const mismatch = await one.api.exchange({ ...exchange, details: task({ goal: "Other" }) });
    expect([mismatch.status, codeOf(mismatch)]).toEqual([409, "idempotency_mismatch"]);
    await end(one, again.taskToken, again.taskId, { wait: "20s" });
  });
  test("whose client is gone before the reply leaves a lease that ends, not a credential", async () => {
    // It stands still when the credential is minted and durable, and the reply is not made.
    const slow = await mayfly.startBroker({ MAYFLY_UNSAFE_FAIL_POINT: "schedule.after=stop" });
    const body = new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: mayfly.svid("bot"),
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      authorization_details: JSON.stringify([task({ ref: "lost-reply" })]),
    }).toString();
    const { hostname, port } = new URL(slow.api.url);
    const socket = connect({ host: hostname, port: Number(port) });
    await once(socket, "connect");
    const type = "Content-Type: application/x-www-form-urlencoded";
    const head = `POST /token HTTP/1.1\r\nHost: x\r\n${type}\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(head + body);
    await slow.frozen();
    socket.resetAndDestroy();
    slow.thaw();
    const lease = await until("the lease of the lost reply to end", SETTLE_MS_MAX, async () => {
      const [row] = await mayfly.ledger<{ state: string; outcome: string; reason: string }[]>`
        SELECT l.state, l.outcome, l.end_reason AS reason FROM mayfly.leases l
        JOIN mayfly.tasks t ON t.id = l.task_id WHERE t.ref = 'lost-reply'`;
      return row?.state === "ended" && row;
    });
    expect(lease).toEqual({
      state: "ended",
      outcome: "revoked",
      reason: "the reply did not reach the agent",
    });
    await slow.stop();
    await mayfly.assertNothingLeaks(one);
  });
});

describe("administration", () => {
  test("of a disabled backend: nothing is issued by any broker, and what lives is ended", async () => {
    const { credential, taskId, taskToken } = grantedOf(
      await one.api.exchange({ subject: mayfly.svid("bot"), details: task() }),
    );
    accepted(await one.api.admin("POST", `/v1/backends/${BACKEND}/disable`), "disable");
    const refused = await other.api.exchange({ subject: mayfly.svid("bot"), details: task() });
    expect([refused.status, codeOf(refused)]).toEqual([503, "issuing_paused"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    const deleting = await one.api.admin("DELETE", `/v1/backends/${BACKEND}`);
    expect([deleting.status, codeOf(deleting)]).toEqual([409, "conflict"]);
    const ended = await end(other, taskToken, taskId, { wait: "20s" });
    expect(at(ended, "leases", 0, "outcome")).toBe("revoked");
    expect(await canLogIn(credential)).toBe(false);
    accepted(await one.api.admin("POST", `/v1/backends/${BACKEND}/enable`), "enable");
  });
  test("gives the backend's password back to nobody", async () => {
    for (const path of ["/v1/backends", `/v1/backends/${BACKEND}`, "/v1/events?limit=1000"]) {
      const reply = await one.api.admin("GET", path);
      expect(reply.status).toBe(200);
      expect(reply.text).not.toContain(mayfly.orders.password);
    }
  });
});

test("a task of somebody else cannot be told from one that never was", async () => {
  const { taskId, taskToken } = grantedOf(
    await one.api.exchange({ subject: mayfly.svid("bot"), details: task() }),
  );
  const unknown = taskId.replace(/.{6}$/, (last) => (last === "000000" ? "111111" : "000000"));
  const seen: string[] = [];
  for (const id of [taskId, unknown]) {
    const asked = await other.api.call(mayfly.svid("stranger"), "POST", `/v1/tasks/${id}/kill`, {});
    const drawn = await other.api.exchange({
      subject: mayfly.svid("stranger"),
      details: { type: "mayfly-task", task: id },
    });
    seen.push(
      [asked, drawn]
        .map(({ status, text }) => `${status} ${text}`.replaceAll(id, "ID"))
        .join("\n")
        .replaceAll(/"trace":"[0-9a-f]{32}"/g, ""),
    );
  }
  expect(seen[0]).toBe(seen[1]);
  expect(at(await end(one, taskToken, taskId, { wait: "20s" }), "task", "state")).toBe("completed");
});

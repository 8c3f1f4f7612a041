import { describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { durationSeconds } from "@mayfly/spec";
import { READER, registerDefaults, WRITER } from "../testing/registered.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  listAt,
  nothingMinted,
  opened,
  readerTask,
  textAt,
  TYPE,
} from "../testing/token-form.ts";

const instantOf = (bench: BrokerBench, seconds: number): string =>
  new Date(bench.clock.now() + seconds * 1000).toISOString();

describe("the reply of an exchange", () => {
  it("has the members of RFC 8693 and the truth about the credential", async () => {
    const bench = await createBrokerBench();
    const answer = await exchange(bench, bench.identities.svid("bot"));
    const { id, leases, token } = opened(answer);
    expect(answer.body).toMatchObject({
      issued_token_type: `${TYPE}access_token`,
      token_type: "Bearer",
      expires_in: 600,
      task: {
        id,
        state: "active",
        parent: null,
        deadline: instantOf(bench, 900),
        idle_timeout_seconds: 60,
      },
      credentials: [
        {
          lease: leases[0],
          role: READER,
          kind: "fake-password",
          expires_at: instantOf(bench, 900),
          expiry_enforced_by: "upstream",
          revocation: "immediate",
          data: { username: expect.stringContaining("mf_testtest_") as unknown },
        },
      ],
    });
    expect(id).toMatch(/^task_[0-9a-f]{32}$/);
    expect(leases[0]).toMatch(/^lease_[0-9a-f]{32}$/);
    expect(token.split(".")).toHaveLength(3);
    expect(Object.keys(answer.body ?? {})).not.toContain("refresh_token");
  });

  it("has the secret in the credential's data and nowhere else, not even in the ledger or log", async () => {
    const bench = await createBrokerBench();
    const answer = await exchange(bench, bench.identities.svid("bot"));
    const password = textAt(answer, "credentials", 0, "data", "password");
    expect(answer.text.split(password)).toHaveLength(2);
    const { id, leases } = opened(answer);
    for (const path of [`/v1/tasks/${id}/chain`, `/v1/leases/${leases[0] ?? ""}`, "/v1/events"]) {
      expect((await bench.admin("GET", path)).text).not.toContain(password);
    }
    bench.log.assertNoSecret(password);
  });

  it.each([
    ["the role's", { deadline: "2h" }, { ttl: undefined }, 1800],
    ["the task's deadline", { deadline: "5m" }, { ttl: "20m" }, 300],
    ["what was asked for", { deadline: "15m" }, { ttl: "90s" }, 90],
  ])(
    "lets the credential live for the least of all limits: %s",
    async (_what, task, one, seconds) => {
      const bench = await createBrokerBench();
      const details = readerTask({ ...task, credentials: [{ role: READER, ...one }] });
      const answer = await exchange(bench, bench.identities.svid("bot"), { details });
      expect(textAt(answer, "credentials", 0, "expires_at")).toBe(instantOf(bench, seconds));
    },
  );
  it("says who enforces the expiry and what revocation is, as the backend's type has it", async () => {
    const bench = await createBrokerBench({
      capabilities: { expiryEnforcedBy: "broker", revocation: "propagating" },
    });
    const answer = await exchange(bench, bench.identities.svid("bot"));
    expect(at(answer, "credentials", 0)).toMatchObject({
      expiry_enforced_by: "broker",
      revocation: "propagating",
    });
  });
  it("lets the credential live no longer than its backend's type allows today", async () => {
    const ttlSecondsMax = durationSeconds(120);
    const bench = await createBrokerBench({ registered: false, capabilities: { ttlSecondsMax } });
    await expect(registerDefaults(bench)).rejects.toThrow("role.ttl_max");
    const role = await bench.admin("PUT", `/v1/roles/${READER}`, {
      groups: ["app_reader"],
      data_class: "internal",
      reversibility: "read_only",
      environment: "test",
    });
    expect(at(role, "role", "ttl_max_seconds")).toBe(120);
  });
  it("lets the task token live no longer than the deadline", async () => {
    const bench = await createBrokerBench();
    const details = readerTask({ deadline: "90s", idle_timeout: "30s" });
    const answer = await exchange(bench, bench.identities.svid("bot"), { details });
    expect(at(answer, "expires_in")).toBe(90);
  });
  it("for a task that draws nothing now has no credential, and says so", async () => {
    const bench = await createBrokerBench();
    const details = readerTask({ credentials: [{ role: READER, issue: "later" }] });
    const answer = await exchange(bench, bench.identities.svid("bot"), { details });
    expect(listAt(answer, "credentials")).toEqual([]);
    expect(nothingMinted(bench)).toBe(true);
  });
});

describe("a later exchange", () => {
  const declared = readerTask({
    targets: ["orders-db:invoices"],
    credentials: [
      { role: READER, params: { groups: ["app_reader"] }, ttl: "10m", issue: "later" },
      { role: WRITER, issue: "later" },
    ],
  });
  const draw = (task: string, credentials: unknown): unknown => ({
    type: "mayfly-task",
    task,
    credentials,
  });

  it("with the task token draws a credential that the task declared", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot"), { details: declared }));
    const answer = await exchangeTaskToken(bench, task.token, {
      details: draw(task.id, [{ role: READER, params: { groups: ["app_reader"] }, ttl: "1h" }]),
    });
    const later = opened(answer);
    expect(later.id).toBe(task.id);
    expect(textAt(answer, "credentials", 0, "role")).toBe(READER);
    expect(textAt(answer, "credentials", 0, "expires_at")).toBe(instantOf(bench, 600));
    expect(at(answer, "authorization_details", 0, "credentials", 1, "role")).toBe(WRITER);
  });
  it.each([
    ["a role that it did not declare", [{ role: "orders-db/secret" }], "credentials[0].role"],
    ["a role that does not exist", [{ role: "orders-db/nothing" }], "credentials[0].role"],
    ["more than the declared parameters", [{ role: READER }], "credentials[0].params"],
    ["a target of its own", [{ role: READER, targets: ["a:b"] }], "credentials[0].targets"],
  ])("is refused %s", async (_what, credentials, where) => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot"), { details: declared }));
    const answer = await exchangeTaskToken(bench, task.token, {
      details: draw(task.id, credentials),
    });
    expect(answer.body).toMatchObject({
      error: "invalid_authorization_details",
      where: `authorization_details[0].${where}`,
    });
    expect(nothingMinted(bench)).toBe(true);
  });
  it("cannot change what the task is", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot"), { details: declared }));
    const details = { type: "mayfly-task", task: task.id, deadline: "10h" };
    const answer = await exchangeTaskToken(bench, task.token, { details });
    expect(answer.body).toMatchObject({ where: "authorization_details[0].deadline" });
  });
  it("with one task's token draws nothing on another task", async () => {
    const bench = await createBrokerBench();
    const svid = bench.identities.svid("bot");
    const first = opened(await exchange(bench, svid, { details: declared }));
    const second = opened(await exchange(bench, svid, { details: declared }));
    const answer = await exchangeTaskToken(bench, first.token, { details: draw(second.id, []) });
    expect(answer.body).toMatchObject({
      error: "invalid_authorization_details",
      where: "authorization_details[0].task",
    });
  });
  it("after the task has ended is refused, and the task token with it", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    await bench.call("POST", `/v1/tasks/${task.id}/complete`, { token: task.token, body: {} });
    const answer = await exchangeTaskToken(bench, task.token, { details: draw(task.id, []) });
    expect([answer.status, at(answer, "error")]).toEqual([400, "invalid_request"]);
  });

  it("with a fresh identity of the same workload gives a new task token, without a credential", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    await bench.clock.advance(2000);
    const answer = await exchange(bench, bench.identities.svid("bot"), {
      details: { type: "mayfly-task", task: task.id },
    });
    const again = opened(answer);
    expect(again.id).toBe(task.id);
    expect(again.token).not.toBe(task.token);
    expect(again.leases).toEqual([]);
  });
  it("by a stranger learns nothing: a task of somebody else is answered as one that is not", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    const unknown = task.id.replace(/.{4}$/, (end) => (end === "0000" ? "1111" : "0000"));
    const answers = [];
    for (const id of [task.id, unknown]) {
      const answer = await exchange(bench, bench.identities.svid("mallory"), {
        details: { type: "mayfly-task", task: id },
      });
      const { trace: _trace, ...body } = answer.body as Record<string, unknown>;
      answers.push({ status: answer.status, text: JSON.stringify(body).replaceAll(id, "ID") });
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]?.status).toBe(400);
  });
});

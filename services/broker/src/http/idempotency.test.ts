import { describe, expect, it } from "vitest";
import { createBrokerBench } from "../testing/broker-bench.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  opened,
  readerTask,
  textAt,
} from "../testing/token-form.ts";
import { READER } from "../testing/registered.ts";

describe("an Idempotency-Key", () => {
  it("sent again with the same body gives the same task, a new credential, and ends the old one", async () => {
    const bench = await createBrokerBench();
    const svid = bench.identities.svid("bot");
    const first = opened(await exchange(bench, svid, { idempotencyKey: "k1" }));
    const second = opened(await exchange(bench, svid, { idempotencyKey: "k1" }));
    expect(second.id).toBe(first.id);
    expect(second.leases).not.toEqual(first.leases);
    const [old] = first.leases;
    const lease = await bench.admin("GET", `/v1/leases/${old ?? ""}`);
    expect(["ending", "ended"]).toContain(at(lease, "state"));
    expect(textAt(second.answer, "credentials", 0, "data", "password")).not.toBe(
      textAt(first.answer, "credentials", 0, "data", "password"),
    );
    expect(bench.ledger.inspect.tasks()).toHaveLength(1);
  });
  it("sent with another body is a conflict that mints nothing", async () => {
    const bench = await createBrokerBench();
    const svid = bench.identities.svid("bot");
    opened(await exchange(bench, svid, { idempotencyKey: "k1" }));
    const answer = await exchange(bench, svid, {
      idempotencyKey: "k1",
      details: readerTask({ goal: "Something else" }),
    });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({
      error: "invalid_request",
      code: "idempotency_mismatch",
      where: "Idempotency-Key",
    });
    expect(bench.ledger.inspect.leases()).toHaveLength(1);
  });
  it("is the sender's own: another workload's same key opens another task", async () => {
    const bench = await createBrokerBench();
    const mine = opened(await exchange(bench, bench.identities.svid("a"), { idempotencyKey: "k" }));
    const theirs = await exchange(bench, bench.identities.svid("b"), { idempotencyKey: "k" });
    expect(opened(theirs).id).not.toBe(mine.id);
  });
  it("is another one under a task than outside it", async () => {
    const bench = await createBrokerBench();
    const task = opened(
      await exchange(bench, bench.identities.svid("bot"), { idempotencyKey: "k" }),
    );
    const details = { type: "mayfly-task", task: task.id, credentials: [{ role: READER }] };
    const draw = await exchangeTaskToken(bench, task.token, { idempotencyKey: "k", details });
    expect(opened(draw).leases).toHaveLength(1);
  });
  it("sent twice at the same time gives one task, and one credential that lives on", async () => {
    const bench = await createBrokerBench();
    const svid = bench.identities.svid("bot");
    const answers = await Promise.all(
      [1, 2].map(() => exchange(bench, svid, { idempotencyKey: "k" })),
    );
    expect(bench.ledger.inspect.tasks()).toHaveLength(1);
    const handedOut = answers.filter(({ status }) => status === 200).map(opened);
    expect(handedOut.length).toBeGreaterThan(0);
    const live = bench.ledger.inspect.leases().filter(({ state }) => state === "active");
    expect(live).toHaveLength(1);
    expect(handedOut.flatMap(({ leases }) => leases)).toContain(live[0]?.id);
  });
  it("of a task that has ended since does not open it again", async () => {
    const bench = await createBrokerBench();
    const svid = bench.identities.svid("bot");
    const task = opened(await exchange(bench, svid, { idempotencyKey: "k" }));
    await bench.call("POST", `/v1/tasks/${task.id}/complete`, { token: task.token, body: {} });
    const answer = await exchange(bench, svid, { idempotencyKey: "k" });
    expect(answer.body).toMatchObject({ error: "invalid_request", code: "task_ended" });
  });
});

describe("a token that counts once", () => {
  it("is refused when it is presented again", async () => {
    const bench = await createBrokerBench();
    const token = bench.identities.ci("repo", "jti-1");
    opened(await exchange(bench, token));
    const answer = await exchange(bench, token);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: "invalid_request", code: "replayed" });
    expect(bench.ledger.inspect.tasks()).toHaveLength(1);
  });
  it("is accepted again with the same Idempotency-Key and body, for the one task", async () => {
    const bench = await createBrokerBench();
    const token = bench.identities.ci("repo", "jti-1");
    const first = opened(await exchange(bench, token, { idempotencyKey: "k" }));
    const again = opened(await exchange(bench, token, { idempotencyKey: "k" }));
    expect(again.id).toBe(first.id);
  });
  it("is refused with another key, and with the same key and another body", async () => {
    const bench = await createBrokerBench();
    const token = bench.identities.ci("repo", "jti-1");
    opened(await exchange(bench, token, { idempotencyKey: "k" }));
    const otherKey = await exchange(bench, token, { idempotencyKey: "k2" });
    expect(at(otherKey, "code")).toBe("replayed");
    const details = readerTask({ goal: "Something else" });
    const otherBody = await exchange(bench, token, { idempotencyKey: "k", details });
    expect(at(otherBody, "code")).toBe("idempotency_mismatch");
    expect(bench.ledger.inspect.leases()).toHaveLength(1);
  });
  it("presented twice at the same time counts once", async () => {
    const bench = await createBrokerBench();
    const token = bench.identities.ci("repo", "jti-1");
    const answers = await Promise.all([1, 2, 3].map(() => exchange(bench, token)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400, 400]);
  });
  it("is a heartbeat once, and then no more", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.ci("repo", "jti-1")));
    const path = `/v1/tasks/${task.id}/heartbeat`;
    const token = bench.identities.ci("repo", "jti-2");
    const first = await bench.call("POST", path, { token });
    expect(at(first, "task", "id")).toBe(task.id);
    const again = await bench.call("POST", path, { token });
    expect([again.status, at(again, "code")]).toEqual([401, "replayed"]);
  });
  it("proves nothing to our own APIs, where its use would not be recorded", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.ci("repo", "jti-1")));
    for (const jti of ["jti-1", "jti-2"]) {
      const token = bench.identities.ci("repo", jti);
      const answer = await bench.call("GET", `/v1/tasks/${task.id}`, { token });
      expect([answer.status, at(answer, "code")]).toEqual([401, "unauthenticated"]);
    }
    const details = { type: "mayfly-task", task: task.id };
    const fresh = await exchange(bench, bench.identities.ci("repo", "jti-3"), { details });
    expect(opened(fresh).id).toBe(task.id);
  });
});

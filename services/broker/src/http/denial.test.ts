import { beforeAll, describe, expect, it } from "vitest";
import { createBrokerBench, type Answer, type BrokerBench } from "../testing/broker-bench.ts";
import { READER, WRITER } from "../testing/registered.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  listAt,
  nothingMinted,
  opened,
  readerTask,
  textAt,
} from "../testing/token-form.ts";

const asking = (role: string): unknown => readerTask({ credentials: [{ role }] });
let bench: BrokerBench;
beforeAll(async () => {
  bench = await createBrokerBench();
});

describe("a denial", () => {
  it("says who, what, which policy, and the next step", async () => {
    const answer = await exchange(bench, bench.identities.svid("mallory"), {
      details: asking(WRITER),
    });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({
      error: "access_denied",
      determining_policies: ["no-writes-by-mallory"],
      where: "authorization_details[0].credentials[0]",
    });
    const description = textAt(answer, "error_description");
    for (const part of ["no-writes-by-mallory", WRITER, "spiffe://acme.test/agent/mallory"]) {
      expect(description).toContain(part);
    }
    const decision = textAt(answer, "decision");
    expect(textAt(answer, "hint")).toContain(`mayfly policy explain ${decision}`);
    expect(answer.text).not.toContain("agents-write-orders");
    expect(nothingMinted(bench)).toBe(true);
  });
  it("is on record before it is answered", async () => {
    const answer = await exchange(bench, bench.identities.svid("mallory"), {
      details: asking(WRITER),
    });
    const id = textAt(answer, "decision");
    const decision = await bench.admin("GET", `/v1/decisions/${id}`);
    expect(decision.body).toMatchObject({
      id,
      effect: "deny",
      why: "forbidden",
      determining_policies: ["no-writes-by-mallory"],
      request: { action: "issue", role: { name: WRITER } },
    });
    const events = await bench.admin("GET", "/v1/events?kind=decision.denied");
    expect(events.text).toContain(id);
  });
  it("of one credential keeps the others from being minted", async () => {
    const details = readerTask({ credentials: [{ role: READER }, { role: WRITER }] });
    const answer = await exchange(bench, bench.identities.svid("mallory"), { details });
    expect(answer.body).toMatchObject({
      error: "access_denied",
      where: "authorization_details[0].credentials[1]",
    });
    expect(nothingMinted(bench)).toBe(true);
  });
  it("of a role that exists reads like that of one that does not", async () => {
    const shape = (answer: Answer, role: string): string => {
      const { trace: _t, decision, ...rest } = answer.body as Record<string, unknown>;
      return JSON.stringify(rest).replaceAll(role, "ROLE").replaceAll(String(decision), "DEC");
    };
    const svid = bench.identities.svid("bot");
    const texts: string[] = [];
    for (const role of ["orders-db/secret", "orders-db/nothing", "no-db/at-all"]) {
      const answer = await exchange(bench, svid, { details: asking(role) });
      expect(at(answer, "error")).toBe("access_denied");
      texts.push(shape(answer, role));
    }
    expect(new Set(texts).size).toBe(1);
  });
  it("comes before any complaint about parameters of a role that the caller may not have", async () => {
    const details = readerTask({
      credentials: [{ role: "orders-db/secret", params: { nonsense: true } }],
    });
    const answer = await exchange(bench, bench.identities.svid("bot"), { details });
    expect(at(answer, "error")).toBe("access_denied");
    expect(answer.text).not.toContain("nonsense");
  });
});

describe("explain", () => {
  it("shows verdict and plan for each credential, and mints, reserves and records nothing", async () => {
    const own = await createBrokerBench();
    const before = own.ledger.inspect.events().length;
    const answer = await exchange(own, own.identities.svid("mallory"), {
      path: "/v1/explain",
      details: readerTask({ credentials: [{ role: READER }, { role: WRITER }] }),
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.body).toMatchObject({
      workload: "spiffe://acme.test/agent/mallory",
      task: null,
      deadline: new Date(own.clock.now() + 900_000).toISOString(),
      credentials: [
        {
          role: READER,
          effect: "permit",
          determining_policies: ["agents-read-orders"],
          would: {
            grant: { groups: ["app_reader", "app_stats"], connections: 4 },
            kind: "fake-password",
            expires_at: new Date(own.clock.now() + 900_000).toISOString(),
            expiry_enforced_by: "upstream",
            revocation: "immediate",
            paused_because: null,
          },
        },
        {
          role: WRITER,
          effect: "deny",
          determining_policies: ["no-writes-by-mallory"],
          would: null,
        },
      ],
    });
    expect(nothingMinted(own)).toBe(true);
    expect(own.ledger.inspect.tasks()).toEqual([]);
    expect(own.ledger.inspect.events()).toHaveLength(before);
  });
  it("of a task says what is left of it", async () => {
    const own = await createBrokerBench();
    const task = opened(await exchange(own, own.identities.svid("bot")));
    const answer = await exchangeTaskToken(own, task.token, {
      path: "/v1/explain",
      details: { type: "mayfly-task", task: task.id, credentials: [{ role: READER }] },
    });
    expect(at(answer, "task")).toBe(task.id);
    expect(listAt(answer, "credentials")).toHaveLength(1);
    expect(own.ledger.inspect.leases()).toHaveLength(1);
  });
  it("does not say of a forbidden role that it exists", async () => {
    const own = await createBrokerBench();
    const texts: string[] = [];
    for (const role of ["orders-db/secret", "orders-db/nothing"]) {
      const answer = await exchange(own, own.identities.svid("bot"), {
        path: "/v1/explain",
        details: asking(role),
      });
      texts.push(answer.text.replaceAll(role, "ROLE"));
    }
    expect(texts[0]).toBe(texts[1]);
  });
  it("answers a stranger with a problem, since it is an API of ours", async () => {
    const answer = await exchange(bench, "x.y.z", { path: "/v1/explain" });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body).toMatchObject({ code: "invalid_identity", status: 401 });
  });
});

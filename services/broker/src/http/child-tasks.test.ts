import { describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { READER, WRITER } from "../testing/registered.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  nothingMinted,
  opened,
  readerTask,
  textAt,
  type OpenedTask,
} from "../testing/token-form.ts";

const parentTask = readerTask({
  targets: ["orders-db:invoices"],
  credentials: [{ role: READER, params: { groups: ["app_reader"] }, ttl: "10m", issue: "later" }],
});
const narrow = { role: READER, params: { groups: ["app_reader"] } };

async function withParent(): Promise<{ bench: BrokerBench; parent: OpenedTask }> {
  const bench = await createBrokerBench();
  const parent = opened(
    await exchange(bench, bench.identities.svid("bot"), { details: parentTask }),
  );
  return { bench, parent };
}
const child = (parent: string, change: Readonly<Record<string, unknown>> = {}): unknown =>
  readerTask({ parent, deadline: "5m", credentials: [narrow], ...change });

describe("a child task", () => {
  it("is opened with its parent's token, by an actor of its own, and keeps the initiator", async () => {
    const bench = await createBrokerBench();
    const parent = opened(
      await exchange(bench, bench.identities.oidc("alice"), {
        actor: bench.identities.svid("bot"),
        details: parentTask,
      }),
    );
    const answer = await exchangeTaskToken(bench, parent.token, {
      actor: bench.identities.svid("vat-bot"),
      details: child(parent.id),
    });
    const opening = opened(answer);
    expect(at(answer, "task", "parent")).toBe(parent.id);
    const read = await bench.call("GET", `/v1/tasks/${opening.id}`, { token: opening.token });
    expect(read.body).toMatchObject({
      workload: "spiffe://acme.test/agent/vat-bot",
      depth: 1,
      root: parent.id,
      initiator: { name: "https://login.acme.test#alice", basis: "verified" },
    });
  });
  it.each([
    ["a later deadline", { deadline: "16m" }, "deadline"],
    ["another target", { targets: ["orders-db:customers"] }, "targets"],
    [
      "a role that its parent did not declare",
      { credentials: [{ role: WRITER }] },
      "credentials[0].role",
    ],
    ["wider parameters", { credentials: [{ role: READER }] }, "credentials[0].params"],
    [
      "wider parameters for later",
      { credentials: [{ role: READER, issue: "later" }] },
      "credentials[0].params",
    ],
  ])("does not get %s", async (_what, change, where) => {
    const { bench, parent } = await withParent();
    const answer = await exchangeTaskToken(bench, parent.token, {
      details: child(parent.id, change),
    });
    expect(answer.body).toMatchObject({
      error: "invalid_authorization_details",
      where: `authorization_details[0].${where}`,
    });
    expect(nothingMinted(bench)).toBe(true);
  });
  it("gets no longer a life than its parent declared, whatever it asks", async () => {
    const { bench, parent } = await withParent();
    await bench.clock.advance(60_000);
    const answer = await exchangeTaskToken(bench, parent.token, {
      details: child(parent.id, { deadline: "15m", credentials: [{ ...narrow, ttl: "20m" }] }),
    });
    expect(Date.parse(textAt(answer, "credentials", 0, "expires_at"))).toBe(
      bench.clock.now() + 600_000,
    );
    expect(Date.parse(textAt(answer, "task", "deadline"))).toBe(bench.clock.now() + 840_000);
  });
  it("nests no deeper than is allowed", async () => {
    const { bench, parent } = await withParent();
    let above = parent;
    for (let depth = 1; depth <= 3; depth++) {
      const details = child(above.id, { credentials: [] });
      above = opened(await exchangeTaskToken(bench, above.token, { details }));
    }
    const details = child(above.id, { credentials: [] });
    const answer = await exchangeTaskToken(bench, above.token, { details });
    expect(answer.body).toMatchObject({ where: "authorization_details[0].parent" });
  });
  it("is not opened under another task, nor with an identity in place of the parent's token", async () => {
    const { bench, parent } = await withParent();
    const other = opened(await exchange(bench, bench.identities.svid("bot")));
    const where = "authorization_details[0].parent";
    const foreign = await exchangeTaskToken(bench, other.token, { details: child(parent.id) });
    expect(foreign.body).toMatchObject({ error: "invalid_authorization_details", where });
    const byIdentity = await exchange(bench, bench.identities.svid("bot"), {
      details: child(parent.id),
    });
    expect(byIdentity.body).toMatchObject({ error: "invalid_authorization_details", where });
  });
  it("ends with its parent: its credential is revoked and its token draws nothing", async () => {
    const { bench, parent } = await withParent();
    const below = opened(
      await exchangeTaskToken(bench, parent.token, { details: child(parent.id) }),
    );
    expect(bench.upstream.all()).toHaveLength(1);
    const ended = await bench.call("POST", `/v1/tasks/${parent.id}/complete`, {
      token: parent.token,
      body: { wait: "10s" },
    });
    expect(at(ended, "task", "state")).toBe("completed");
    expect(at(ended, "leases", 0, "state")).toBe("ended");
    expect(bench.upstream.all()).toEqual([]);
    const read = await bench.admin("GET", `/v1/tasks/${below.id}`);
    expect(at(read, "state")).toBe("cancelled");
    const drawing = await exchangeTaskToken(bench, below.token, {
      details: { type: "mayfly-task", task: below.id, credentials: [narrow] },
    });
    expect(at(drawing, "error")).toBe("invalid_request");
  });
  it("shows its lease to its parent's holder, who ends it but does not renew it", async () => {
    const { bench, parent } = await withParent();
    const below = opened(
      await exchangeTaskToken(bench, parent.token, { details: child(parent.id) }),
    );
    const path = `/v1/leases/${below.leases[0] ?? ""}`;
    const { token } = parent;
    expect((await bench.call("GET", path, { token })).status).toBe(200);
    const renewal = await bench.call("POST", `${path}/renew`, { token, body: { ttl: "9m" } });
    expect([renewal.status, at(renewal, "code")]).toEqual([403, "denied"]);
    const ended = await bench.call("POST", `${path}/end`, { token });
    expect(at(ended, "state")).toBe("ending");
  });
  it("leaves its parent alone when it ends itself", async () => {
    const { bench, parent } = await withParent();
    const below = opened(
      await exchangeTaskToken(bench, parent.token, { details: child(parent.id) }),
    );
    await bench.call("POST", `/v1/tasks/${below.id}/fail`, { token: below.token, body: {} });
    const read = await bench.call("GET", `/v1/tasks/${parent.id}`, { token: parent.token });
    expect(at(read, "state")).toBe("active");
  });
});

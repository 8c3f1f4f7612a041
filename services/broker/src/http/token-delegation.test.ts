import { decodeJwt } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { READER } from "../testing/registered.ts";
import { OIDC_ISSUER } from "../testing/test-identities.ts";
import {
  exchange,
  exchangeTaskToken,
  nothingMinted,
  opened,
  readerTask,
  textAt,
} from "../testing/token-form.ts";

/*
 * Delegation, RFC 8693 sections 1.1, 4.1 and 4.4: who presents another's token is named in the
 * result. The exception is in `impersonation.test.ts`.
 */
const BOT = "spiffe://acme.test/agent/bot";
const SUB_BOT = "spiffe://acme.test/agent/vat-bot";
const ALICE = `${OIDC_ISSUER}#alice`;
const ONLY_FOR_PORTAL = `
@id("only-tasks-that-the-portal-is-part-of")
permit (principal, action in Action::"credential", resource == Role::"${READER}")
when { context.actors.contains("spiffe://acme.test/portal") };
`;

let bench: BrokerBench;
beforeAll(async () => {
  bench = await createBrokerBench();
});
const alice = (claims: Readonly<Record<string, unknown>>): string =>
  bench.identities.oidc("alice", { claims });
const partiesIn = (token: string): unknown => {
  const { sub, act, client_id } = decodeJwt(token);
  return { sub, act, client_id };
};

describe("a subject token and an actor token", () => {
  it("give a task token whose sub is the subject and whose act is the actor", async () => {
    const actor = bench.identities.svid("bot");
    const task = opened(await exchange(bench, alice({}), { actor }));
    expect(partiesIn(task.token)).toEqual({ sub: ALICE, act: { sub: BOT }, client_id: BOT });
  });

  it("wrap the act of the subject token, which is history and no fact for policies", async () => {
    const own = await createBrokerBench();
    const act = { sub: "spiffe://acme.test/portal", act: { iss: "https://b.test", sub: "web" } };
    const subject = own.identities.oidc("alice", { claims: { act } });
    const actor = own.identities.svid("bot");
    const task = opened(await exchange(own, subject, { actor }));
    expect(partiesIn(task.token)).toMatchObject({
      sub: ALICE,
      act: {
        sub: BOT,
        act: { sub: "spiffe://acme.test/portal", act: { sub: "https://b.test#web" } },
      },
    });
    const [event] = own.ledger.inspect.events().filter(({ kind }) => kind === "task.opened");
    expect(event?.data).toMatchObject({
      initiatorActors: ["spiffe://acme.test/portal", "https://b.test#web"],
    });
    const sources = [{ name: "p.cedar", text: ONLY_FOR_PORTAL }];
    expect((await own.admin("PUT", "/v1/policies", { sources })).status).toBe(200);
    const again = await exchange(own, own.identities.oidc("alice", { claims: { act } }), { actor });
    expect(again.body).toMatchObject({ error: "access_denied", code: "denied" });
  });

  it("whose act is five deep are refused, and four are not", async () => {
    const nested = (depth: number): unknown =>
      depth === 0 ? undefined : { sub: `a${depth}`, act: nested(depth - 1) };
    const actor = bench.identities.svid("bot");
    expect((await exchange(bench, alice({ act: nested(4) }), { actor })).status).toBe(200);
    const refused = await exchange(bench, alice({ act: nested(5) }), { actor });
    expect(refused.body).toMatchObject({ code: "invalid_identity", where: "subject_token" });
  });

  it("with a heartbeat keep who is meant and who acts", async () => {
    const act = { sub: "spiffe://acme.test/portal" };
    const actor = bench.identities.svid("bot");
    const task = opened(await exchange(bench, alice({ act }), { actor }));
    const path = `/v1/tasks/${task.id}/heartbeat`;
    const beat = await bench.call("POST", path, { token: task.token });
    expect(beat.status).toBe(200);
    expect(partiesIn(textAt(beat, "access_token"))).toEqual(partiesIn(task.token));
  });
});

describe("the history of a task that is reached by its workload's identity alone", () => {
  const act = { sub: "spiffe://acme.test/portal", act: { iss: "https://b.test", sub: "web" } };
  const history = { sub: "spiffe://acme.test/portal", act: { sub: "https://b.test#web" } };
  const parties = { sub: ALICE, act: { sub: BOT, act: history }, client_id: BOT };
  const later = readerTask({ credentials: [{ role: READER, issue: "later" }] });
  const draws = (task: string): unknown => ({
    type: "mayfly-task",
    task,
    credentials: [{ role: READER }],
  });
  const openedFor = async (own: BrokerBench) =>
    opened(
      await exchange(own, own.identities.oidc("alice", { claims: { act } }), {
        actor: own.identities.svid("bot"),
        details: later,
      }),
    );

  it("is whole after a heartbeat, with which a child is opened by another workload", async () => {
    const own = await createBrokerBench();
    const task = await openedFor(own);
    const path = `/v1/tasks/${task.id}/heartbeat`;
    const beat = await own.call("POST", path, { token: own.identities.svid("bot") });
    const token = textAt(beat, "access_token");
    expect(partiesIn(token)).toEqual(parties);
    const child = await exchangeTaskToken(own, token, {
      actor: own.identities.svid("vat-bot"),
      details: readerTask({ parent: task.id, deadline: "5m", credentials: [{ role: READER }] }),
    });
    const { id, token: childToken } = opened(child);
    const childParties = {
      ...parties,
      act: { sub: SUB_BOT, act: parties.act },
      client_id: SUB_BOT,
    };
    expect(partiesIn(childToken)).toEqual(childParties);
    const svid = own.identities.svid("vat-bot");
    const again = await own.call("POST", `/v1/tasks/${id}/heartbeat`, { token: svid });
    expect(partiesIn(textAt(again, "access_token"))).toEqual(childParties);
  });

  it("is whole after an exchange under it, whatever the initiator's token tells by now", async () => {
    const own = await createBrokerBench();
    const task = await openedFor(own);
    const actor = own.identities.svid("bot");
    const alone = opened(await exchange(own, actor, { details: draws(task.id) }));
    expect(partiesIn(alone.token)).toEqual(parties);
    const other = own.identities.oidc("alice", { claims: { act: { sub: "another" } } });
    const both = opened(await exchange(own, other, { actor, details: draws(task.id) }));
    expect(partiesIn(both.token)).toEqual(parties);
  });
});

describe("may_act in a subject token", () => {
  const asBot = { may_act: { sub: BOT } };

  it("lets the actor that it names act, by SPIFFE ID or by issuer and subject", async () => {
    const actor = bench.identities.svid("bot");
    expect((await exchange(bench, alice(asBot), { actor })).status).toBe(200);
    const named = { may_act: { iss: "spiffe://acme.test", sub: BOT } };
    expect((await exchange(bench, alice(named), { actor })).status).toBe(200);
  });

  it.each([
    ["another subject", { may_act: { sub: SUB_BOT } }],
    ["the same subject of another issuer", { may_act: { iss: "https://b.test", sub: BOT } }],
    ["a claim that nobody here compares", { may_act: { sub: BOT, client_id: "bot" } }],
    ["nobody", { may_act: {} }],
    ["a list", { may_act: [{ sub: BOT }] }],
  ])("refuses the actor where it names %s", async (_what, claims) => {
    const own = await createBrokerBench();
    const subject = own.identities.oidc("alice", { claims });
    const answer = await exchange(own, subject, { actor: own.identities.svid("bot") });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: "invalid_request", code: "invalid_identity" });
    expect(nothingMinted(own)).toBe(true);
  });

  it("is no permission where it is absent: policies decide who acts for whom", async () => {
    const own = await createBrokerBench();
    const text = `
      @id("only-sub-bot-for-alice")
      permit (principal == Workload::"${SUB_BOT}", action in Action::"credential", resource)
      when { context.task has initiator && context.task.initiator == "${ALICE}" };`;
    const sources = [{ name: "p.cedar", text }];
    expect((await own.admin("PUT", "/v1/policies", { sources })).status).toBe(200);
    const as = (name: string) =>
      exchange(own, own.identities.oidc("alice"), { actor: own.identities.svid(name) });
    expect((await as("bot")).body).toMatchObject({ error: "access_denied" });
    expect((await as("vat-bot")).status).toBe(200);
  });

  it("is no identity of the one that it names: alone the token is its subject's", async () => {
    const task = opened(await exchange(bench, alice(asBot)));
    expect(partiesIn(task.token)).toEqual({ sub: ALICE, act: undefined, client_id: ALICE });
  });
});

describe("a token that says who acts for its subject", () => {
  it("is refused: a token with an act proves nobody's identity alone", async () => {
    const own = await createBrokerBench();
    const token = own.identities.oidc("alice", { claims: { act: { sub: BOT } } });
    const alone = await exchange(own, token);
    expect(alone.body).toMatchObject({ error: "invalid_request", code: "invalid_identity" });
    expect(textAt(alone, "hint")).toContain("actor_token");
    const asActor = await exchange(own, own.identities.oidc("bob"), { actor: token });
    expect(asActor.body).toMatchObject({ code: "invalid_identity", where: "actor_token" });
    expect(nothingMinted(own)).toBe(true);
  });

  it("is no heartbeat either: nobody is the task's workload by a delegated token", async () => {
    const task = opened(await exchange(bench, bench.identities.oidc("carol")));
    const path = `/v1/tasks/${task.id}/heartbeat`;
    const claims = { act: { sub: BOT } };
    const token = bench.identities.oidc("carol", { claims });
    expect((await bench.call("POST", path, { token })).status).toBe(401);
    const carol = bench.identities.oidc("carol");
    expect((await bench.call("POST", path, { token: carol })).status).toBe(200);
  });
});

describe("a child that another workload opens", () => {
  const parentTask = readerTask({ credentials: [{ role: READER, issue: "later" }] });
  const child = (parent: string): unknown =>
    readerTask({ parent, deadline: "5m", credentials: [{ role: READER }] });

  it("acts for the subject of its parent, and its parent's workload is its history", async () => {
    const actor = bench.identities.svid("bot");
    const parent = opened(await exchange(bench, alice({}), { actor, details: parentTask }));
    const answer = await exchangeTaskToken(bench, parent.token, {
      actor: bench.identities.svid("vat-bot"),
      details: child(parent.id),
    });
    expect(partiesIn(opened(answer).token)).toEqual({
      sub: ALICE,
      act: { sub: SUB_BOT, act: { sub: BOT } },
      client_id: SUB_BOT,
    });
  });

  it("without an initiator acts for the workload that opened the first task", async () => {
    const svid = bench.identities.svid("bot");
    const parent = opened(await exchange(bench, svid, { details: parentTask }));
    const details = child(parent.id);
    const actor = bench.identities.svid("vat-bot");
    const delegated = opened(await exchangeTaskToken(bench, parent.token, { actor, details }));
    expect(partiesIn(delegated.token)).toEqual({
      sub: BOT,
      act: { sub: SUB_BOT },
      client_id: SUB_BOT,
    });
    const own = opened(await exchangeTaskToken(bench, parent.token, { details }));
    expect(partiesIn(own.token)).toEqual({ sub: BOT, act: undefined, client_id: BOT });
  });

  it("holds its own task token, with which its parent's is not reached", async () => {
    const svid = bench.identities.svid("bot");
    const parent = opened(await exchange(bench, svid, { details: parentTask }));
    const actor = bench.identities.svid("vat-bot");
    const details = child(parent.id);
    const delegated = opened(await exchangeTaskToken(bench, parent.token, { actor, details }));
    const drawn = await exchangeTaskToken(bench, delegated.token, {
      details: { type: "mayfly-task", task: parent.id, credentials: [{ role: READER }] },
    });
    expect(drawn.status).toBe(400);
    const beat = await bench.call("POST", `/v1/tasks/${parent.id}/heartbeat`, {
      token: delegated.token,
    });
    expect(beat.status).toBeGreaterThanOrEqual(400);
  });
});

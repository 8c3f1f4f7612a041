import { decodeJwt } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { createTestDpopKey } from "@mayfly/testkit";
import { ADMIN_TOKEN, ISSUER, type Answer } from "../testing/broker-bench.ts";
import {
  ALICE,
  AS_ALICE,
  asking,
  BOT,
  createImpersonationBench,
  CREDENTIALS,
  FOR_ALICE,
  partiesIn,
  SUB_BOT,
  type ImpersonationBench,
} from "../testing/impersonation-bench.ts";
import { READER } from "../testing/registered.ts";
import { accessTokenIn, AUDIENCE, CALLER, READ } from "../testing/token-api.ts";
import {
  exchange,
  exchangeTaskToken,
  nothingMinted,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
  TYPE,
  type OpenedTask,
} from "../testing/token-form.ts";

let bench: ImpersonationBench;
beforeEach(async () => {
  bench = await createImpersonationBench();
});

describe("a task that impersonates", () => {
  const later = asking({ credentials: [{ role: READER, issue: "later" }] });
  const drawsOn = (task: OpenedTask): unknown => ({
    type: "mayfly-task",
    task: task.id,
    credentials: [{ role: READER }],
  });
  const beat = (task: OpenedTask, token = task.token): Promise<Answer> =>
    bench.call("POST", `/v1/tasks/${task.id}/heartbeat`, { token });

  it("keeps its form over heartbeats and draws, by its token and by its workload's identity", async () => {
    const task = opened(await bench.ask({ details: later }));
    const beats = [await beat(task), await beat(task, bench.identities.svid("bot"))];
    for (const answer of beats) {
      expect(partiesIn(textAt(answer, "access_token"))).toEqual(AS_ALICE);
    }
    const details = drawsOn(task);
    const svid = bench.identities.svid("bot");
    for (const drawn of [
      await exchangeTaskToken(bench, task.token, { details }),
      await exchange(bench, svid, { details }),
      await exchange(bench, bench.person("alice"), { details, actor: svid }),
    ]) {
      expect(partiesIn(opened(drawn).token)).toEqual(AS_ALICE);
    }
  });

  it("is its workload's alone: whom it appears as neither keeps it alive nor draws on it", async () => {
    const task = opened(await bench.ask({ details: later }));
    expect((await beat(task, bench.person("alice"))).status).toBe(404);
    const drawn = await exchange(bench, bench.person("alice"), { details: drawsOn(task) });
    expect(drawn.body).toMatchObject({ code: "not_found" });
    const other = bench.identities.svid("vat-bot");
    expect((await beat(task, other)).status).toBe(404);
  });

  it("is bound to its workload's key", async () => {
    const key = createTestDpopKey(bench.clock);
    const body = tokenForm(bench.person("alice"), {
      actor_token: bench.identities.svid("bot"),
      actor_token_type: `${TYPE}jwt`,
      authorization_details: JSON.stringify([asking()]),
    });
    const answer = await postToken(bench, body, { dpop: key.proof("POST", `${ISSUER}/token`) });
    const task = opened(answer);
    expect(decodeJwt(task.token)).toMatchObject({ sub: ALICE, cnf: { jkt: key.thumbprint } });
    expect((await beat(task)).status).toBe(401);
    const url = `${ISSUER}/v1/tasks/${task.id}/heartbeat`;
    const shown = await bench.call("POST", `/v1/tasks/${task.id}/heartbeat`, {
      headers: {
        authorization: `DPoP ${task.token}`,
        dpop: key.proof("POST", url, task.token),
      },
    });
    expect(partiesIn(textAt(shown, "access_token"))).toEqual(AS_ALICE);
  });

  it("gets nothing more once the pair is not permitted any more, and is ended by its owner", async () => {
    const task = opened(await bench.ask({ details: later }));
    const delegated = opened(
      await bench.ask({ details: readerTask({ credentials: [{ role: READER, issue: "later" }] }) }),
    );
    await bench.decideBy(CREDENTIALS);
    const refused = await beat(task);
    expect(refused.body).toMatchObject({ code: "denied", where: "task" });
    expect((await beat(task, bench.identities.svid("bot"))).body).toMatchObject({ code: "denied" });
    const drawn = await exchangeTaskToken(bench, task.token, { details: drawsOn(task) });
    expect(drawn.body).toMatchObject({ error: "access_denied", code: "denied" });
    expect(nothingMinted(bench)).toBe(true);
    expect((await beat(delegated)).status).toBe(200);
    const ended = await bench.call("POST", `/v1/tasks/${task.id}/cancel`, {
      token: task.token,
      body: {},
    });
    expect(ended.status).toBe(200);
  });

  it("has children that say who acts, and who acted above them", async () => {
    const task = opened(await bench.ask({ details: later }));
    const details = readerTask({
      parent: task.id,
      deadline: "5m",
      credentials: [{ role: READER }],
    });
    const own = opened(await exchangeTaskToken(bench, task.token, { details }));
    expect(partiesIn(own.token)).toEqual(FOR_ALICE);
    const actor = bench.identities.svid("vat-bot");
    const other = opened(await exchangeTaskToken(bench, task.token, { details, actor }));
    expect(partiesIn(other.token)).toEqual({
      sub: ALICE,
      act: { sub: SUB_BOT, act: { sub: BOT } },
      client_id: SUB_BOT,
    });
  });

  it("is no identity: neither its token nor one for an API proves that somebody is its subject", async () => {
    const details = asking({ credentials: [{ role: CALLER, params: READ }] });
    const answer = await bench.ask({ details });
    const task = opened(answer);
    for (const subject of [task.token, accessTokenIn(answer)]) {
      const reused = await exchange(bench, subject, {
        actor: bench.identities.svid("vat-bot"),
        details: readerTask(),
      });
      expect(reused.body).toMatchObject({ code: "invalid_identity", where: "subject_token" });
    }
  });
});

describe("introspection of a token that names the subject alone", () => {
  const introspect = (token: string, by: string): Promise<Answer> =>
    bench.call("POST", "/introspect", {
      body: new URLSearchParams({ token }).toString(),
      headers: { "content-type": "application/x-www-form-urlencoded" },
      token: by,
    });

  it("says who acts to who may read the task, and to a resource server what the token says", async () => {
    const server = bench.identities.svid("api");
    const registered = await bench.admin("PUT", "/v1/resource-servers/api", {
      identities: [{ spiffe_id: "spiffe://acme.test/agent/api" }],
      audiences: [AUDIENCE],
      task_tokens: ["orders-api"],
    });
    expect(registered.status, registered.text).toBeLessThan(300);
    const details = asking({ credentials: [{ role: CALLER, params: READ }] });
    const answer = await bench.ask({ details });
    for (const token of [opened(answer).token, accessTokenIn(answer)]) {
      const outside = await introspect(token, server);
      expect(outside.body).toMatchObject({ active: true, sub: ALICE, client_id: BOT });
      expect(outside.body).not.toHaveProperty("act");
      const inside = await introspect(token, ADMIN_TOKEN);
      expect(inside.body).toMatchObject({ active: true, ...FOR_ALICE });
    }
  });
});

import { beforeAll, describe, expect, it } from "vitest";
import { createTestSigningKey, hmacCompact, signCompact, unsignedCompact } from "@mayfly/testkit";
import { createBrokerBench, ISSUER, type BrokerBench } from "../testing/broker-bench.ts";
import {
  exchange,
  exchangeTaskToken,
  nothingMinted,
  opened,
  readerTask,
  textAt,
} from "../testing/token-form.ts";

let bench: BrokerBench;
beforeAll(async () => {
  bench = await createBrokerBench();
});

const refusedTokens: readonly (readonly [string, (bench: BrokerBench) => string])[] = [
  ["expired", ({ identities }) => identities.svid("bot", { claims: { exp: 1_000 } })],
  ["addressed to somebody else", (b) => b.identities.svid("bot", { claims: { aud: ["x"] } })],
  [
    "addressed to its token endpoint",
    (b) => b.identities.svid("bot", { claims: { aud: [`${ISSUER}/token`] } }),
  ],
  [
    "addressed to another one as well",
    (b) => b.identities.svid("bot", { claims: { aud: [ISSUER, "https://other.test"] } }),
  ],
  [
    "of an issuer that nobody registered",
    (b) => b.identities.oidc("alice", { claims: { iss: "https://unknown.test" } }),
  ],
  [
    "of another trust domain",
    (b) => b.identities.svid("bot", { claims: { sub: "spiffe://other.test/agent/bot" } }),
  ],
  [
    "signed by somebody else",
    (b) => b.identities.svid("bot", { key: createTestSigningKey("authority-1") }),
  ],
  ["without an expiry", (b) => b.identities.svid("bot", { claims: { exp: undefined } })],
  [
    "without a signature",
    () => unsignedCompact({ alg: "none" }, { iss: "https://login.acme.test" }),
  ],
  [
    "signed with a public key as a shared secret",
    (b) =>
      hmacCompact(
        JSON.stringify(b.identities.oidcKey.publicJwk),
        { alg: "HS256", kid: "login-1" },
        { iss: "https://login.acme.test", sub: "a", aud: ISSUER, exp: 9_999_999_999 },
      ),
  ],
  [
    "of the type of access tokens",
    (b) => b.identities.oidc("alice", { header: { typ: "at+jwt" } }),
  ],
  ["a DPoP proof", (b) => b.identities.oidc("alice", { header: { typ: "dpop+jwt" } })],
  ["a security event", (b) => b.identities.oidc("alice", { header: { typ: "secevent+jwt" } })],
  ["a logout token", (b) => b.identities.oidc("alice", { header: { typ: "logout+jwt" } })],
  [
    "carrying its own key",
    (b) => b.identities.oidc("alice", { header: { jwk: b.identities.oidcKey.publicJwk } }),
  ],
  [
    "bound to a key that nobody proved",
    (b) => b.identities.oidc("alice", { claims: { cnf: { jkt: "x".repeat(43) } } }),
  ],
  ["no token at all", () => "not-a-token"],
  ["three empty parts", () => ".."],
  [
    "a JWS in its JSON form",
    (b) => JSON.stringify({ payload: b.identities.svid("bot").split(".")[1], signatures: [] }),
  ],
];

describe("a subject token that is", () => {
  it.each(refusedTokens)(
    "%s is refused with the one message for all of them",
    async (_what, of) => {
      const answer = await exchange(bench, of(bench));
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        error: "invalid_request",
        code: "invalid_identity",
        error_description: "The identity could not be verified.",
      });
      expect(nothingMinted(bench)).toBe(true);
    },
  );
  it.each(refusedTokens)("%s is refused as an actor's in the same words", async (_what, of) => {
    const answer = await exchange(bench, bench.identities.oidc("alice"), { actor: of(bench) });
    expect(answer.body).toMatchObject({
      error: "invalid_request",
      error_description: "The identity could not be verified.",
    });
  });
});

describe("a task token", () => {
  it("is no identity: called a JWT it is refused like any stranger's token", async () => {
    const own = await createBrokerBench();
    const task = opened(await exchange(own, own.identities.svid("bot")));
    const answer = await exchange(own, task.token);
    expect(answer.body).toMatchObject({ error: "invalid_request", code: "invalid_identity" });
  });
  it.each([
    ["an identity", (b: BrokerBench) => b.identities.svid("bot")],
    ["nonsense", () => "x.y.z"],
    [
      "one that somebody else signed",
      () => {
        const key = createTestSigningKey("other");
        return signCompact(key, { alg: "ES256", kid: "other", typ: "at+jwt" }, { iss: ISSUER });
      },
    ],
  ])("is not %s: invalid_request, as for any other subject", async (_what, of) => {
    const details = {
      type: "mayfly-task",
      task: `task_${"0".repeat(12)}7${"0".repeat(3)}8${"0".repeat(15)}`,
    };
    const answer = await exchangeTaskToken(bench, of(bench), { details });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: "invalid_request", where: "subject_token" });
    expect(answer.headers.get("www-authenticate")).toBeNull();
  });
  it("that has expired is refused", async () => {
    const own = await createBrokerBench();
    const task = opened(await exchange(own, own.identities.svid("bot")));
    await own.clock.advance(601_000);
    const details = { type: "mayfly-task", task: task.id };
    const answer = await exchangeTaskToken(own, task.token, { details });
    expect(answer.body).toMatchObject({ error: "invalid_request" });
  });
  it("opens no task of its own without a parent", async () => {
    const own = await createBrokerBench();
    const task = opened(await exchange(own, own.identities.svid("bot")));
    const answer = await exchangeTaskToken(own, task.token, { details: readerTask() });
    expect(answer.body).toMatchObject({
      error: "invalid_authorization_details",
      where: "authorization_details[0].parent",
    });
  });
});

describe("a trust root", () => {
  it("that is registered a moment before is known, and one that is removed is not", async () => {
    const own = await createBrokerBench();
    expect((await exchange(own, own.identities.svid("bot"))).status).toBe(200);
    expect((await own.admin("DELETE", "/v1/trust/acme.test")).status).toBe(204);
    const answer = await exchange(own, own.identities.svid("bot"));
    expect(textAt(answer, "error_description")).toBe("The identity could not be verified.");
  });
});

describe("an initiator", () => {
  it("is verified when it came as the subject, with the agent as actor", async () => {
    const own = await createBrokerBench();
    const answer = await exchange(own, own.identities.oidc("alice"), {
      actor: own.identities.svid("bot"),
    });
    const task = opened(answer);
    const read = await own.call("GET", `/v1/tasks/${task.id}`, { token: task.token });
    expect(read.body).toMatchObject({
      workload: "spiffe://acme.test/agent/bot",
      initiator: { name: "https://login.acme.test#alice", basis: "verified" },
    });
  });
  it("is the task's for good: a later exchange on behalf of somebody else is refused", async () => {
    const own = await createBrokerBench();
    const actor = own.identities.svid("bot");
    const task = opened(await exchange(own, own.identities.oidc("alice"), { actor }));
    const details = { type: "mayfly-task", task: task.id };
    const bob = await exchange(own, own.identities.oidc("bob"), { actor, details });
    expect(bob.body).toMatchObject({ error: "invalid_request", where: "subject_token" });
    const alice = await exchange(own, own.identities.oidc("alice"), { actor, details });
    expect(opened(alice).id).toBe(task.id);
  });
  it("that is only claimed is shown as such", async () => {
    const own = await createBrokerBench();
    const details = readerTask({ initiator: "bob" });
    const task = opened(await exchange(own, own.identities.svid("bot"), { details }));
    const read = await own.call("GET", `/v1/tasks/${task.id}`, { token: task.token });
    expect(read.body).toMatchObject({ initiator: { name: "bob", basis: "claimed" } });
  });
  it("is nobody's workload: a trust root that is not for people vouches for no initiator", async () => {
    const actor = bench.identities.svid("bot");
    const answer = await exchange(bench, bench.identities.svid("other-bot"), { actor });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({
      error: "invalid_request",
      code: "invalid_identity",
      where: "subject_token",
    });
    expect(textAt(answer, "error_description")).toContain("not for initiators");
    expect(textAt(answer, "hint")).toContain("initiators: true");
    expect(nothingMinted(bench)).toBe(true);
  });
  it("is not the agent itself, which would satisfy a policy that asks for an initiator", async () => {
    const svid = bench.identities.svid("bot");
    const answer = await exchange(bench, svid, { actor: bench.identities.svid("bot") });
    expect(answer.body).toMatchObject({ error: "invalid_request", where: "actor_token" });
    expect(nothingMinted(bench)).toBe(true);
  });
});

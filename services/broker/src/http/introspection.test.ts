import { decodeJwt } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { createTestDpopKey, type TestDpopKey } from "@mayfly/testkit";
import {
  ADMIN_TOKEN,
  createBrokerBench,
  ISSUER,
  type Answer,
  type BrokerBench,
} from "../testing/broker-bench.ts";
import { BACKEND_PASSWORD, READER } from "../testing/registered.ts";
import { createRegisteredClient } from "../testing/registered-client.ts";
import { CI_ISSUER, OIDC_ISSUER } from "../testing/test-identities.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
} from "../testing/token-form.ts";

let bench: BrokerBench;
beforeEach(async () => {
  bench = await createBrokerBench();
});

type Headers = Readonly<Record<string, string>>;
const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

const post = (path: string, form: Headers, headers: Headers = {}): Promise<Answer> =>
  bench.call("POST", path, {
    body: new URLSearchParams(form).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
  });
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const asClient = (name: string): Headers => ({
  client_assertion_type: ASSERTION,
  client_assertion: bench.identities.svid(name),
});
const openTask = async (details?: unknown) =>
  opened(await exchange(bench, bench.identities.svid("bot"), { details: details ?? readerTask() }));
const openBound = async (key: TestDpopKey) =>
  opened(
    await postToken(bench, tokenForm(bench.identities.svid("bot")), {
      dpop: key.proof("POST", `${ISSUER}/token`),
    }),
  );
const BOT = "spiffe://acme.test/agent/bot";
const OTHER = "spiffe://acme.test/agent/other";
const ALICE = `${OIDC_ISSUER}#alice`;
/** A task of the bot's for a person, and below it one of another workload's. */
async function openForAlice() {
  const { identities } = bench;
  const alice = identities.oidc("alice", { claims: { jti: crypto.randomUUID() } });
  const parent = opened(await exchange(bench, alice, { actor: identities.svid("bot") }));
  const details = readerTask({
    parent: parent.id,
    deadline: "5m",
    credentials: [{ role: READER }],
  });
  const actor = identities.svid("other");
  const child = opened(await exchangeTaskToken(bench, parent.token, { details, actor }));
  return { parent, child };
}
const stateOf = (id: string): string | undefined =>
  bench.ledger.inspect.tasks().find((task) => task.id === id)?.state;

/** People of an issuer of administrators, with what policies let them read. */
async function registerResourceServer(policy: string): Promise<string> {
  const { oidcKey } = bench.identities;
  await bench.admin("PUT", "/v1/trust/login", {
    kind: "oidc",
    config: {
      issuer: "https://login.acme.test",
      jwks: { keys: [oidcKey.publicJwk] },
      administrators: true,
    },
  });
  const sources = [
    {
      name: "all.cedar",
      text: `@id("agents") permit (principal, action in Action::"credential", resource);\n${policy}`,
    },
  ];
  const put = await bench.admin("PUT", "/v1/policies", { sources });
  if (put.status !== 200) throw new Error(put.text);
  return bench.identities.oidc("reports-api");
}

describe("introspection", () => {
  it("says of a task token what it says, and that it counts", async () => {
    const { id, token } = await openTask();
    const answer = await post("/introspect", { token }, bearer(ADMIN_TOKEN));
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.body).toMatchObject({
      active: true,
      iss: ISSUER,
      aud: ISSUER,
      sub: "spiffe://acme.test/agent/bot",
      token_type: "Bearer",
      task: id,
      authorization_details: [{ type: "mayfly-task" }],
    });
    const { exp, iat } = answer.body as { readonly exp: number; readonly iat: number };
    expect(exp - iat).toBe(600);
    expect(answer.body).not.toHaveProperty("cnf");
    expect(answer.text).not.toContain(BACKEND_PASSWORD);
    expect(answer.text).not.toContain("password");
  });
  it("says to which key a token is bound, and needs no proof of that key", async () => {
    const key = createTestDpopKey(bench.clock);
    const { token } = await openBound(key);
    const answer = await post("/introspect", { token }, bearer(ADMIN_TOKEN));
    expect(answer.body).toMatchObject({ token_type: "DPoP", cnf: { jkt: key.thumbprint } });
  });
  it("answers its workload, by an assertion or as bearer, and the task above it", async () => {
    const { id, token } = await openTask();
    const child = opened(
      await exchangeTaskToken(bench, token, {
        details: readerTask({ parent: id, deadline: "5m", credentials: [{ role: READER }] }),
      }),
    );
    for (const [form, headers] of [
      [asClient("bot"), {}],
      [{}, bearer(bench.identities.svid("bot"))],
      [{}, bearer(token)],
    ] satisfies readonly [Headers, Headers][]) {
      const answer = await post("/introspect", { token: child.token, ...form }, headers);
      expect(at(answer, "active")).toBe(true);
    }
    const below = await post("/introspect", { token }, bearer(child.token));
    expect(below.body).toEqual({ active: false });
  });
  it("answers a resource server that a policy lets read the task, and no other", async () => {
    const permit = (name: string) => `
      @id("introspects") permit (
        principal == Workload::"https://login.acme.test#${name}", action == Action::"read", resource
      );`;
    const server = await registerResourceServer(permit("reports-api"));
    const { token } = await openTask();
    const answer = await post("/introspect", { token }, bearer(server));
    expect(at(answer, "active")).toBe(true);
    await registerResourceServer(permit("somebody-else"));
    const denied = await post("/introspect", { token }, bearer(server));
    expect(denied.body).toEqual({ active: false });
  });
  it("says of a token for somebody else for whom it is, and who acts", async () => {
    const { parent, child } = await openForAlice();
    for (const { token, act, owner } of [
      { token: parent.token, act: { sub: BOT }, owner: "bot" },
      { token: child.token, act: { sub: OTHER, act: { sub: BOT } }, owner: "other" },
    ]) {
      const answer = await post("/introspect", { token, ...asClient(owner) });
      const client_id = act.sub;
      expect(answer.body).toMatchObject({ active: true, sub: ALICE, client_id, act });
    }
  });
  it("names a client by its own client_id, and by its name who is none", async () => {
    const client = createRegisteredClient(bench);
    await client.register();
    const none = {
      grant_type: "client_credentials",
      subject_token: null,
      subject_token_type: null,
    };
    const byKey = () => postToken(bench, tokenForm("", { ...none, ...client.form() }));
    const byToken = (token: string) => postToken(bench, tokenForm(token));
    for (const [answer, clientId] of [
      [await byKey(), client.clientId],
      [await byToken(bench.identities.svid("bot")), BOT],
      [await byToken(bench.identities.ci("repo", "jti-1")), `${CI_ISSUER}#repo`],
    ] as const) {
      const { token } = opened(answer);
      const looked = await post("/introspect", { token }, bearer(ADMIN_TOKEN));
      expect(at(looked, "client_id")).toBe(clientId);
      expect(decodeJwt(token)).toMatchObject({ client_id: clientId });
    }
  });
  it("says exactly that it is not active of everything else", async () => {
    const { id, token } = await openTask();
    const stranger = await post("/introspect", { token, ...asClient("other") });
    expect([stranger.status, stranger.body]).toEqual([200, { active: false }]);
    const [header = "", payload = "", signature = ""] = token.split(".");
    for (const none of [
      "x",
      ADMIN_TOKEN,
      bench.identities.svid("bot"),
      `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
    ]) {
      const answer = await post("/introspect", { token: none }, bearer(ADMIN_TOKEN));
      expect([answer.status, answer.body]).toEqual([200, { active: false }]);
    }
    await bench.admin("POST", `/v1/tasks/${id}/kill`, {});
    const ended = await post("/introspect", { token }, bearer(ADMIN_TOKEN));
    expect(ended.body).toEqual({ active: false });
    const late = await openTask();
    await bench.clock.advance(601_000);
    const expired = await post("/introspect", { token: late.token }, bearer(ADMIN_TOKEN));
    expect(expired.body).toEqual({ active: false });
  });
  it("needs a client that is known", async () => {
    const { token } = await openTask();
    for (const [form, headers] of [
      [{}, {}],
      [{ ...asClient("bot"), client_assertion: "x" }, {}],
      [{ ...asClient("bot"), client_id: "spiffe://acme.test/agent/other" }, {}],
      [{}, bearer("x")],
      [{}, bearer(`mayfly_admin_${"x".repeat(43)}`)],
      [{}, { authorization: "Basic eDp5" }],
    ] satisfies readonly [Headers, Headers][]) {
      const answer = await post("/introspect", { token, ...form }, headers);
      expect([answer.status, at(answer, "error")]).toEqual([401, "invalid_client"]);
      const challenge = answer.headers.get("www-authenticate");
      // Where an assertion failed, OAuth's clients read the body, and a challenge would hide it.
      expect(challenge?.startsWith("Bearer ") ?? false).toBe(
        !Object.hasOwn(form, "client_assertion"),
      );
    }
    const both = await post("/introspect", { token, ...asClient("bot") }, bearer(ADMIN_TOKEN));
    expect([both.status, at(both, "error")]).toEqual([400, "invalid_request"]);
  });
  it("is a form with one token", async () => {
    const missing = await post("/introspect", {}, bearer(ADMIN_TOKEN));
    expect([missing.status, at(missing, "where")]).toEqual([400, "token"]);
    const json = await bench.admin("POST", "/introspect", { token: "x" });
    expect([json.status, at(json, "error")]).toEqual([400, "invalid_request"]);
    const get = await bench.call("GET", "/introspect?token=x", { token: ADMIN_TOKEN });
    expect(get.status).toBe(405);
  });
});

describe("revocation", () => {
  it("by the holder ends the task and every lease below it, before the answer", async () => {
    const { id, token, leases } = await openTask();
    const child = opened(
      await exchangeTaskToken(bench, token, {
        details: readerTask({ parent: id, deadline: "5m", credentials: [{ role: READER }] }),
      }),
    );
    const answer = await post("/revoke", { token });
    expect([answer.status, answer.text]).toEqual([200, ""]);
    expect([stateOf(id), stateOf(child.id)]).toEqual(["cancelled", "cancelled"]);
    const states = bench.ledger.inspect.leases().map((lease) => [lease.id, lease.state]);
    for (const lease of [...leases, ...child.leases]) {
      expect(states).not.toContainEqual([lease, "active"]);
    }
    const used = await bench.call("POST", `/v1/tasks/${id}/heartbeat`, { token });
    expect(at(used, "code")).toBe("task_ended");
  });
  it("is the same the second time, and for what never was a token", async () => {
    const { token } = await openTask();
    for (const sent of [token, token, "x", ADMIN_TOKEN]) {
      const answer = await post("/revoke", { token: sent, token_type_hint: "refresh_token" });
      expect([answer.status, answer.text]).toEqual([200, ""]);
    }
  });
  it("by the workload, by the task above it or by the administrator ends it too", async () => {
    for (const [form, headers] of [
      [asClient("bot"), {}],
      [{}, bearer(bench.identities.svid("bot"))],
      [{}, bearer(ADMIN_TOKEN)],
    ] satisfies readonly [Headers, Headers][]) {
      const { id, token } = await openTask();
      expect((await post("/revoke", { token, ...form }, headers)).status).toBe(200);
      expect(stateOf(id)).toBe("cancelled");
    }
  });
  it("of a token for somebody else ends its task, whoever asks: holder, workload or the one above", async () => {
    for (const how of ["holder", "workload", "above"] as const) {
      const { parent, child } = await openForAlice();
      const { form, headers } = {
        holder: { form: {}, headers: {} },
        workload: { form: asClient("other"), headers: {} },
        above: { form: {}, headers: bearer(parent.token) },
      }[how];
      const answer = await post("/revoke", { token: child.token, ...form }, headers);
      expect([how, answer.status, stateOf(child.id)]).toEqual([how, 200, "cancelled"]);
      expect(stateOf(parent.id)).toBe("active");
      expect((await post("/revoke", { token: parent.token })).status).toBe(200);
      expect(stateOf(parent.id)).toBe("cancelled");
    }
  });
  it("of another's token is answered like any, without effect", async () => {
    const { id, token } = await openTask();
    const other = opened(await exchange(bench, bench.identities.svid("other")));
    for (const [form, headers] of [
      [asClient("other"), {}],
      [{}, bearer(other.token)],
    ] satisfies readonly [Headers, Headers][]) {
      const answer = await post("/revoke", { token, ...form }, headers);
      expect([answer.status, answer.text]).toEqual([200, ""]);
    }
    expect(stateOf(id)).toBe("active");
  });
  it("of a bound token by its holder needs the key", async () => {
    const key = createTestDpopKey(bench.clock);
    const { id, token } = await openBound(key);
    const other = createTestDpopKey(bench.clock);
    const url = `${ISSUER}/revoke`;
    for (const headers of [{}, { dpop: other.proof("POST", url) }]) {
      const answer = await post("/revoke", { token }, headers);
      expect([answer.status, at(answer, "error")]).toEqual([401, "invalid_client"]);
    }
    expect(stateOf(id)).toBe("active");
    const ended = await post("/revoke", { token }, { dpop: key.proof("POST", url) });
    expect([ended.status, stateOf(id)]).toEqual([200, "cancelled"]);
  });
  it("by a client that is not known is refused, and ends nothing", async () => {
    const { id, token } = await openTask();
    const answer = await post("/revoke", { token }, bearer("x"));
    expect([answer.status, at(answer, "error")]).toEqual([401, "invalid_client"]);
    expect(stateOf(id)).toBe("active");
  });
  it("that the ledger cannot record is 503, to be tried again: the task lives", async () => {
    const { id, token } = await openTask();
    bench.ledger.faults.refuse("requestEnd");
    const answer = await post("/revoke", { token });
    expect([answer.status, at(answer, "error")]).toEqual([503, "temporarily_unavailable"]);
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(stateOf(id)).toBe("active");
    expect((await post("/revoke", { token })).status).toBe(200);
    expect(stateOf(id)).toBe("cancelled");
  });
});

describe("the metadata of our own APIs", () => {
  it("is where RFC 9728 wants it, names the authorization server, and a 401 names it", async () => {
    const url = `${ISSUER}/.well-known/oauth-protected-resource`;
    const answer = await bench.call("GET", "/.well-known/oauth-protected-resource");
    expect(answer.body).toMatchObject({
      resource: ISSUER,
      authorization_servers: [ISSUER],
      bearer_methods_supported: ["header"],
    });
    const refused = await bench.call("GET", "/v1/tasks");
    expect(refused.headers.get("www-authenticate")).toContain(`resource_metadata="${url}"`);
    const other = await bench.call("GET", "/.well-known/oauth-protected-resource/other");
    expect(other.status).toBe(404);
  });
  it("of an issuer with a path stands before that path", async () => {
    const issuer = "https://acme.test/mayfly/eu";
    const own = await createBrokerBench({ issuer });
    const url = "https://acme.test/.well-known/oauth-protected-resource/mayfly/eu";
    const found = await own.app.request(url);
    expect(await found.json()).toMatchObject({ resource: issuer });
    const refused = await own.call("GET", "/v1/tasks");
    expect(refused.headers.get("www-authenticate")).toContain(`resource_metadata="${url}"`);
  });
});

it("an exchange is told by the metadata where else its token may go", async () => {
  const server = await bench.call("GET", "/.well-known/oauth-authorization-server");
  expect(textAt(server, "revocation_endpoint")).toBe(`${ISSUER}/revoke`);
  expect(textAt(server, "introspection_endpoint")).toBe(`${ISSUER}/introspect`);
});

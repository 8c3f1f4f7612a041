import { beforeEach, describe, expect, it } from "vitest";
import { createTestDpopKey, createTestSigningKey, signCompact } from "@mayfly/testkit";
import { createRegisteredClient, type RegisteredClient } from "../testing/registered-client.ts";
import {
  createBrokerBench,
  ISSUER,
  type Answer,
  type BrokerBench,
} from "../testing/broker-bench.ts";
import { READER } from "../testing/registered.ts";
import {
  at,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
  GRANT,
  TYPE,
} from "../testing/token-form.ts";

let bench: BrokerBench;
beforeEach(async () => {
  bench = await createBrokerBench();
});

const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:";
type Change = Readonly<Record<string, string | null>>;
const BOT = "spiffe://acme.test/agent/bot";

const svidFor = (name: string, aud: unknown = ISSUER): string =>
  bench.identities.svid(name, { claims: { aud } });

/** A client that acts for itself. */
const asItself = (change: Change = {}, headers: Readonly<Record<string, string>> = {}) =>
  postToken(
    bench,
    tokenForm("", {
      grant_type: "client_credentials",
      subject_token: null,
      subject_token_type: null,
      client_assertion_type: `${ASSERTION}jwt-spiffe`,
      client_assertion: svidFor("bot"),
      ...change,
    }),
    headers,
  );

const refusal = (answer: Answer) => [answer.status, at(answer, "error"), at(answer, "where")];
const tasks = () => bench.ledger.inspect.tasks();

describe("a client that acts for itself", () => {
  it("opens a task as the workload of its JWT-SVID, with what it asks for", async () => {
    const answer = await asItself();
    const { id, leases } = opened(answer);
    expect(textAt(answer, "issued_token_type")).toBe(`${TYPE}access_token`);
    expect(leases).toHaveLength(1);
    const [task] = tasks();
    expect([task?.id, task?.workload.subject, task?.verifiedInitiator]).toEqual([id, BOT, null]);
  });
  it("is the same caller as by an exchange of the same SVID", async () => {
    const details = (task: string) => JSON.stringify([{ type: "mayfly-task", task }]);
    const { id } = opened(await asItself());
    const drawn = await postToken(
      bench,
      tokenForm(svidFor("bot"), { authorization_details: details(id) }),
    );
    expect(opened(drawn).id).toBe(id);
    expect(opened(await asItself({ authorization_details: details(id) })).id).toBe(id);
    const other = { client_assertion: svidFor("other"), authorization_details: details(id) };
    expect(at(await asItself(other), "code")).toBe("not_found");
  });
  it("may name itself, and nobody else, as client_id", async () => {
    opened(await asItself({ client_id: BOT }));
    for (const client_id of ["spiffe://acme.test/agent/bots", "spiffe://acme.test/agent", "bot"]) {
      expect(refusal(await asItself({ client_id }))).toEqual([
        401,
        "invalid_client",
        "client_assertion",
      ]);
    }
  });
  it("shows a key by DPoP and gets a bound token", async () => {
    const key = createTestDpopKey(bench.clock);
    const answer = await asItself({}, { dpop: key.proof("POST", `${ISSUER}/token`) });
    expect(textAt(answer, "token_type")).toBe("DPoP");
    expect(tasks()[0]?.confirmation).toBe(key.thumbprint);
  });
  it.each([
    ["to the token endpoint", `${ISSUER}/token`],
    ["to the issuer and another", [ISSUER, "https://other.test"]],
    ["to the issuer, twice over", [ISSUER, ISSUER]],
    ["to the issuer with a slash", `${ISSUER}/`],
    ["to another", "https://other.test"],
    ["to nobody", []],
  ])("is refused by an assertion that is addressed %s", async (_what, aud) => {
    const answer = await asItself({ client_assertion: svidFor("bot", aud) });
    expect(refusal(answer)).toEqual([401, "invalid_client", "client_assertion"]);
    expect(tasks()).toEqual([]);
  });
  it("may be addressed to the issuer in a list of one, as the draft writes it", async () => {
    opened(await asItself({ client_assertion: svidFor("bot", [ISSUER]) }));
    expect(tasks()).toHaveLength(1);
  });
  it("is refused by an assertion to others too where its trust root takes such tokens", async () => {
    const { trustDomain } = bench.identities;
    const config = { trust_domain: "acme.test", bundle: trustDomain.bundle() };
    await bench.admin("PUT", "/v1/trust/acme.test", {
      kind: "spiffe",
      config: { ...config, unsafe_allow_other_audiences: true },
    });
    const both = svidFor("bot", [ISSUER, "https://other.test"]);
    opened(await postToken(bench, tokenForm(both)));
    expect(at(await asItself({ client_assertion: both }), "error")).toBe("invalid_client");
  });
  it.each([
    ["no assertion", { client_assertion: null, client_assertion_type: null }, 401],
    ["no type of it", { client_assertion_type: null }, 400],
    ["a type alone", { client_assertion: null }, 400],
    ["a JWT-SVID as jwt-bearer", { client_assertion_type: `${ASSERTION}jwt-bearer` }, 401],
    ["a type that is none", { client_assertion_type: "jwt-spiffe" }, 401],
    ["what is no JWT", { client_assertion: "x" }, 401],
    ["a secret besides", { client_secret: "x" }, 401],
    ["a subject token besides", { subject_token: "x" }, 400],
    ["an actor token besides", { actor_token: "x", actor_token_type: `${TYPE}jwt` }, 400],
    ["a scope", { scope: "x" }, 400],
    ["no task", { authorization_details: null }, 400],
  ] satisfies readonly [string, Change, number][])(
    "with %s is refused",
    async (_what, change, status) => {
      const answer = await asItself(change);
      expect(answer.status).toBe(status);
      expect(tasks()).toEqual([]);
    },
  );
  it("is refused with a token that is no JWT-SVID, and with an expired one", async () => {
    const person = bench.identities.oidc("alice");
    const old = bench.identities.svid("bot", { claims: { exp: 1 } });
    const task = opened(await asItself()).token;
    for (const client_assertion of [person, old, task]) {
      expect(at(await asItself({ client_assertion }), "error")).toBe("invalid_client");
    }
  });
  it("learns from a refusal only that it was refused", async () => {
    const answers = await Promise.all(
      [svidFor("bot", "x"), "a.b.c", bench.identities.oidc("alice")].map((client_assertion) =>
        asItself({ client_assertion }),
      ),
    );
    const texts = answers.map((answer) => at(answer, "error_description"));
    expect(new Set(texts).size).toBe(1);
  });
});

describe("a client that exchanges somebody's token", () => {
  const exchangeAs = (subject: string, change: Change = {}) =>
    postToken(
      bench,
      tokenForm(subject, {
        client_assertion_type: `${ASSERTION}jwt-spiffe`,
        client_assertion: svidFor("bot"),
        ...change,
      }),
    );
  it("is the actor, and the person the initiator", async () => {
    opened(await exchangeAs(bench.identities.oidc("alice")));
    const [task] = tasks();
    expect(task?.workload.subject).toBe(BOT);
    expect(task?.verifiedInitiator).toBe("https://login.acme.test#alice");
  });
  it("acts for itself where the subject token is its own", async () => {
    opened(await exchangeAs(svidFor("bot")));
    expect(tasks()[0]?.verifiedInitiator).toBeNull();
  });
  it("must be whom the actor token names", async () => {
    const actor = (name: string) => ({
      actor_token: svidFor(name),
      actor_token_type: `${TYPE}jwt`,
    });
    const alice = bench.identities.oidc("alice");
    opened(await exchangeAs(alice, actor("bot")));
    expect(refusal(await exchangeAs(alice, actor("other")))).toEqual([
      400,
      "invalid_request",
      "actor_token",
    ]);
  });
  it("draws on its own task with the task token, and opens a child as another", async () => {
    const parent = opened(await exchangeAs(bench.identities.oidc("alice")));
    const ofTask = (details: unknown, client_assertion: string) =>
      exchangeAs(parent.token, {
        subject_token_type: `${TYPE}access_token`,
        authorization_details: JSON.stringify([details]),
        client_assertion,
      });
    const draw = { type: "mayfly-task", task: parent.id };
    expect(opened(await ofTask(draw, svidFor("bot"))).id).toBe(parent.id);
    expect(at(await ofTask(draw, svidFor("other")), "error")).toBe("invalid_request");
    const child = readerTask({
      parent: parent.id,
      deadline: "5m",
      credentials: [{ role: READER }],
    });
    opened(await ofTask(child, svidFor("other")));
    expect(tasks().at(-1)?.workload.subject).toBe("spiffe://acme.test/agent/other");
  });
});

describe("a registered client with a key of its own", () => {
  let client: RegisteredClient;
  let assertion: RegisteredClient["assertion"];
  const asClient = (client_assertion: string, change: Change = {}, headers = {}) =>
    asItself(
      { client_assertion_type: `${ASSERTION}jwt-bearer`, client_assertion, ...change },
      headers,
    );
  beforeEach(async () => {
    client = createRegisteredClient(bench);
    assertion = (...args) => client.assertion(...args);
    const answer = await client.register();
    if (answer.status !== 201) throw new Error(answer.text);
  });

  it("opens tasks as itself, with the type of today's assertions or of earlier ones", async () => {
    for (const typ of ["client-authentication+jwt", "JWT", undefined]) {
      opened(await asClient(assertion({}, { typ }), { client_id: client.clientId }));
    }
    const subjects = tasks().map(({ workload }) => workload.subject);
    expect(subjects).toEqual(Array.from({ length: 3 }, () => client.clientId));
    opened(await asClient(assertion({ aud: [ISSUER] })));
  });
  it("sends each assertion once, unless it asks again under its Idempotency-Key", async () => {
    const once = assertion();
    opened(await asClient(once));
    const again = await asClient(once);
    // RFC 7523 section 3.2, as of any assertion that does not count.
    expect(refusal(again)).toEqual([401, "invalid_client", "client_assertion"]);
    expect(at(again, "code")).toBe("assertion_replayed");
    expect(again.headers.get("www-authenticate")).toBeNull();
    const keyed = assertion();
    const headers = { "idempotency-key": "k" };
    const { id } = opened(await asClient(keyed, {}, headers));
    expect(opened(await asClient(keyed, {}, headers)).id).toBe(id);
  });
  it("sends no assertion beside its own task token: its use would not be recorded", async () => {
    const task = textAt(await asClient(assertion()), "access_token");
    const parent = tasks()[0]?.id;
    const child = { type: "mayfly-task", goal: "Part", parent, deadline: 60, idle_timeout: 60 };
    const details = JSON.stringify([{ ...child, credentials: [] }]);
    const exchange = {
      grant_type: GRANT,
      subject_token: task,
      subject_token_type: `${TYPE}access_token`,
      authorization_details: details,
    };
    const answer = await asClient(assertion(), exchange);
    expect(refusal(answer)).toEqual([400, "invalid_request", "client_assertion"]);
    expect(tasks()).toHaveLength(1);
    const alone = { ...exchange, client_assertion: null, client_assertion_type: null };
    expect((await asItself(alone)).status).toBe(200);
  });
  it.each([
    ["to the token endpoint", { aud: `${ISSUER}/token` }],
    ["to two", { aud: [ISSUER, "https://other.test"] }],
    ["by another subject", { sub: "https://other.test" }],
    ["by another issuer", { iss: "https://other.test", sub: "https://other.test" }],
    ["without a jti", { jti: undefined }],
    ["without an exp", { exp: undefined }],
    ["that has expired", { exp: 1 }],
    ["that is not yet made", { iat: 9_999_999_999 }],
  ])("is refused with an assertion %s", async (_what, claims) => {
    const answer = await asClient(assertion(claims));
    expect(refusal(answer)).toEqual([401, "invalid_client", "client_assertion"]);
  });
  it.each([
    ["of an access token", "at+jwt"],
    ["of a DPoP proof", "dpop+jwt"],
    ["of a logout token", "logout+jwt"],
  ])("is refused with the type %s", async (_what, typ) => {
    expect(at(await asClient(assertion({}, { typ })), "error")).toBe("invalid_client");
  });
  it("is refused under another client_id, as jwt-spiffe, and with another's key", async () => {
    const other = createTestSigningKey("batch-1");
    const [head = "", payload = ""] = assertion().split(".");
    const decoded = (part: string): unknown =>
      JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    const forged = signCompact(other, decoded(head), decoded(payload));
    for (const answer of [
      await asClient(assertion(), { client_id: "https://other.test" }),
      await asClient(assertion(), { client_assertion_type: `${ASSERTION}jwt-spiffe` }),
      await asClient(forged),
    ]) {
      expect(at(answer, "error")).toBe("invalid_client");
    }
  });
  it("has assertions that are no subject and no actor token, and count nowhere else", async () => {
    const subject = await postToken(bench, tokenForm(assertion()));
    expect([subject.status, at(subject, "error")]).toEqual([400, "invalid_request"]);
    const actor = { actor_token: assertion(), actor_token_type: `${TYPE}jwt` };
    const acting = await postToken(bench, tokenForm(bench.identities.oidc("alice"), actor));
    expect(at(acting, "where")).toBe("actor_token");
    const bearer = await bench.call("GET", "/v1/tasks", { token: assertion() });
    expect([bearer.status, at(bearer, "code")]).toEqual([401, "invalid_identity"]);
  });
  it("is not one that an issuer of workloads becomes by a token about itself", async () => {
    const token = bench.identities.oidc("https://login.acme.test");
    expect(at(await asClient(token), "error")).toBe("invalid_client");
  });
  it.each([
    ["tokens that count more than once", { one_time_tokens: false }, "one_time_tokens"],
    ["no keys", { jwks: undefined }, "client"],
    ["people", { initiators: true }, "initiators"],
  ])("is not registered with %s", async (_what, change, where) => {
    const answer = await client.register(change);
    expect([answer.status, at(answer, "where")]).toEqual([422, `config.${where}`]);
  });
});

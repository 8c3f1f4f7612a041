import { beforeAll, describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import {
  at,
  exchange,
  nothingMinted,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
  TYPE,
} from "../testing/token-form.ts";

/** All that is refused is asked of one broker, so that one look shows that it minted nothing. */
let refusing: BrokerBench;
let svid: string;
beforeAll(async () => {
  refusing = await createBrokerBench();
  svid = refusing.identities.svid("bot");
});

const DETAILS = JSON.stringify([readerTask()]);

describe("the token endpoint", () => {
  it("answers GET with 405 and names the method that it takes", async () => {
    const answer = await refusing.call("GET", "/token?grant_type=x");
    expect(answer.status).toBe(405);
    expect(answer.headers.get("allow")).toBe("POST");
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(at(answer, "error")).toBe("invalid_request");
  });
  it.each(["PUT", "DELETE", "PATCH", "HEAD"])("answers %s with 405", async (method) => {
    const answer = await refusing.call(method, "/token");
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "POST"]);
  });
  it("answers OPTIONS with what the path takes, and grants no other origin anything", async () => {
    const answer = await refusing.call("OPTIONS", "/token", {
      headers: { origin: "https://evil.test", "access-control-request-method": "POST" },
    });
    expect([answer.status, answer.headers.get("allow")]).toEqual([204, "POST"]);
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
  });

  it.each([
    ["a JSON body", '{"grant_type":"x"}', { "content-type": "application/json" }, "Content-Type"],
    [
      "a multipart body",
      "x",
      { "content-type": "multipart/form-data; boundary=x" },
      "Content-Type",
    ],
    ["a body of no type", "grant_type=x", { "content-type": "" }, "Content-Type"],
    ["an empty body", "", {}, "grant_type"],
    ["a broken percent sign", "grant_type=%zz", {}, "grant_type"],
    ["percent-encoded bytes that are no UTF-8", "subject_token=%ff%fe", {}, "subject_token"],
    ["bytes of a lone surrogate", "subject_token=%ed%a0%80", {}, "subject_token"],
  ])("answers %s with invalid_request", async (_what, body, headers, where) => {
    const answer = await postToken(refusing, body, headers);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: "invalid_request", where });
  });

  it.each([
    ["grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"],
    ["subject_token", "other"],
    ["subject_token_type", `${TYPE}jwt`],
    ["authorization_details", DETAILS],
    ["requested_token_type", `${TYPE}access_token`],
    ["unknown_one", "1"],
  ])("refuses %s sent twice, even with the same value", async (name, value) => {
    const twice = `${name}=${encodeURIComponent(value)}`;
    const known = tokenForm(svid).includes(`${name}=`) ? twice : `${twice}&${twice}`;
    const answer = await postToken(refusing, `${tokenForm(svid)}&${known}`);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: "invalid_request", where: name });
  });

  it.each(["grant_type", "subject_token", "subject_token_type", "authorization_details"])(
    "says that %s is missing, and an empty one counts as missing",
    async (name) => {
      for (const value of [null, ""]) {
        const answer = await postToken(refusing, tokenForm(svid, { [name]: value }));
        expect(answer.status).toBe(400);
        expect(answer.body).toMatchObject({
          error: "invalid_request",
          error_description: `The parameter ${name} is missing.`,
          where: name,
        });
      }
    },
  );

  it.each([
    ["another grant", { grant_type: "password" }, "unsupported_grant_type", "grant_type"],
    ["a refresh token", { subject_token_type: `${TYPE}refresh_token` }, "invalid_request"],
    ["SAML 1.1", { subject_token_type: `${TYPE}saml1` }, "invalid_request"],
    ["SAML 2.0", { subject_token_type: `${TYPE}saml2` }, "invalid_request"],
    ["a type that is no URI", { subject_token_type: "jwt" }, "invalid_request"],
  ])(
    "does not take %s as it is offered",
    async (_what, change, error, where = "subject_token_type") => {
      const answer = await postToken(refusing, tokenForm(svid, change));
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({ error, where });
    },
  );

  it.each([
    ["an actor's token without its type", { actor_token: "x" }, "actor_token_type"],
    ["an actor's type without the token", { actor_token_type: `${TYPE}jwt` }, "actor_token"],
    [
      "an actor's token of a type that is not offered",
      { actor_token: "x", actor_token_type: `${TYPE}access_token` },
      "actor_token_type",
    ],
  ])("refuses %s", async (_what, change, where) => {
    const answer = await postToken(refusing, tokenForm(svid, change));
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: "invalid_request", where });
  });

  it.each([
    ["resource", "https://orders.acme.test/"],
    ["resource", "https://mayfly.test#part"],
    ["resource", "https://mayfly.test/"],
    ["audience", "orders-db"],
  ])("issues nothing for %s %s", async (name, value) => {
    const answer = await postToken(refusing, tokenForm(svid, { [name]: value }));
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: "invalid_target", where: name });
  });
  it("issues nothing when one of two resources is not its own", async () => {
    const both = "&resource=https%3A%2F%2Fmayfly.test&resource=https%3A%2F%2Fother.test";
    const answer = await postToken(refusing, tokenForm(svid) + both);
    expect(answer.body).toMatchObject({ error: "invalid_target", where: "resource" });
  });
  it.each([`${TYPE}jwt`, `${TYPE}refresh_token`, "urn:x:credential"])(
    "issues no %s in place of an access token",
    async (type) => {
      const answer = await postToken(refusing, tokenForm(svid, { requested_token_type: type }));
      expect(answer.body).toMatchObject({
        error: "invalid_request",
        where: "requested_token_type",
      });
    },
  );
  it("has no scopes, and says so rather than leave one out in silence", async () => {
    const answer = await postToken(refusing, tokenForm(svid, { scope: "orders:read" }));
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: "invalid_scope", where: "scope" });
  });

  it.each([
    ["a body of 97 KiB", tokenForm("x".repeat(97 * 1024)), "98304 bytes"],
    ["a subject token of 9 KiB", tokenForm("x".repeat(9 * 1024)), "8192 characters"],
    [
      "details of 17 KiB",
      tokenForm("x", { authorization_details: `["${"x".repeat(17 * 1024)}"]` }),
      "16384 characters",
    ],
  ])("says of %s what the limit is", async (_what, body, limit) => {
    const answer = await postToken(refusing, body);
    expect(textAt(answer, "error_description")).toContain(limit);
    expect([400, 413]).toContain(answer.status);
    expect(answer.text.length).toBeLessThan(1000);
  });
  it.each(["", " ", "a,b", "schlüssel", "k".repeat(256)])(
    "refuses the Idempotency-Key %j",
    async (key) => {
      const headers = { "idempotency-key": Buffer.from(key, "utf8").toString("latin1") };
      const answer = await postToken(refusing, tokenForm(svid), headers);
      expect(answer.body).toMatchObject({ error: "invalid_request", where: "Idempotency-Key" });
    },
  );

  it("has minted nothing for any of these", () => {
    expect(nothingMinted(refusing)).toBe(true);
  });
});

describe("an exchange that is accepted", () => {
  it.each([
    ["ignores parameters that it does not know", { unknown: "1", client_id: "bot" }],
    ["counts empty ones as absent", { actor_token: "", scope: "", resource: "", audience: "" }],
    ["takes its own issuer as resource", { resource: "https://mayfly.test" }],
    ["takes its own issuer as audience", { audience: "https://mayfly.test" }],
    ["takes the type that it issues", { requested_token_type: `${TYPE}access_token` }],
    ["takes an SVID that is called an ID token", { subject_token_type: `${TYPE}id_token` }],
  ])("%s", async (_what, change) => {
    const bench = await createBrokerBench();
    const form = tokenForm(bench.identities.svid("bot"), change);
    expect(opened(await postToken(bench, form)).leases).toHaveLength(1);
  });
  it("takes the order of parameters as it comes, and + as a space", async () => {
    const bench = await createBrokerBench();
    const pairs = tokenForm(bench.identities.svid("bot")).split("&").toReversed().join("&");
    expect(pairs).toContain("the+October");
    const answer = await postToken(bench, pairs);
    expect(at(answer, "authorization_details", 0, "goal")).toBe("Reconcile the October invoices");
  });
});

describe("every answer of the token endpoint", () => {
  it("is not stored, has a trace, and repeats nothing of a token", async () => {
    const bench = await createBrokerBench();
    const good = bench.identities.svid("bot");
    const bad = bench.identities.svid("bot", { claims: { aud: ["somebody-else"] } });
    const answers = [
      await exchange(bench, good),
      await exchange(bench, bad),
      await exchange(bench, good, { details: { type: "other" } }),
      await postToken(bench, tokenForm(good, { grant_type: "x" })),
      await postToken(bench, "x=1&x=2"),
    ];
    for (const answer of answers) {
      expect(answer.headers.get("cache-control")).toBe("no-store");
      expect(answer.headers.get("mayfly-trace")).toMatch(/^[0-9a-f]{32}$/);
      expect(answer.headers.get("content-type")).toBe("application/json");
      for (const token of [good, bad]) {
        for (const part of token.split(".")) expect(answer.text).not.toContain(part);
      }
      expect(answer.text).not.toContain("somebody-else");
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 400, 400, 400, 400]);
    bench.log.assertNoSecret(good, bad);
  });
});

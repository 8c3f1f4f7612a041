import { beforeEach, describe, expect, it } from "vitest";
import { createTestDpopKey, type TestDpopKey } from "@mayfly/testkit";
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
  TYPE,
} from "../testing/token-form.ts";

let bench: BrokerBench;
let key: TestDpopKey;
beforeEach(async () => {
  bench = await createBrokerBench();
  key = createTestDpopKey(bench.clock);
});

const proofFor = (path: string, token: string | null = null, by = key, method = "POST"): string =>
  by.proof(method, `${ISSUER}${path}`, token);

const exchangeBound = (change: Readonly<Record<string, string | null>> = {}, dpop?: string) =>
  postToken(bench, tokenForm(bench.identities.svid("bot"), change), {
    dpop: dpop ?? proofFor("/token"),
  });

/** A call of one of our own APIs with a task token, as DPoP and with its proof. */
const callBound = (
  method: string,
  path: string,
  token: string,
  { by = key, dpop = proofFor(path, token, by, method) }: { by?: TestDpopKey; dpop?: string } = {},
): Promise<Answer> =>
  bench.call(method, path, { headers: { authorization: `DPoP ${token}`, dpop } });

const claimsOf = (token: string): unknown =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));

const drawForm = (token: string, task: string): string =>
  tokenForm(token, {
    subject_token_type: `${TYPE}access_token`,
    authorization_details: JSON.stringify([{ type: "mayfly-task", task }]),
  });

describe("an exchange with a DPoP proof", () => {
  it("gives a task token that is bound to the proof's key, and says so", async () => {
    const answer = await exchangeBound();
    const task = opened(answer);
    expect(textAt(answer, "token_type")).toBe("DPoP");
    expect(claimsOf(task.token)).toMatchObject({ cnf: { jkt: key.thumbprint } });
  });
  it("without one gives a bearer's", async () => {
    const answer = await postToken(bench, tokenForm(bench.identities.svid("bot")));
    expect(textAt(answer, "token_type")).toBe("Bearer");
    expect(claimsOf(opened(answer).token)).not.toHaveProperty("cnf");
  });
  it("refuses a proof that does not hold, and opens nothing", async () => {
    for (const dpop of [
      "",
      "x.y.z",
      proofFor("/v1/explain"),
      proofFor("/token", null, key, "GET"),
      `${proofFor("/token")}, ${proofFor("/token")}`,
    ]) {
      const answer = await exchangeBound({}, dpop);
      expect([answer.status, at(answer, "error")]).toEqual([400, "invalid_dpop_proof"]);
    }
    expect(bench.ledger.inspect.tasks()).toEqual([]);
  });
  it("takes its URL from the configuration, whatever host and proxy headers say", async () => {
    const body = tokenForm(bench.identities.svid("bot"));
    const spoofed = {
      host: "evil.test",
      "x-forwarded-host": "evil.test",
      "x-forwarded-proto": "http",
      forwarded: "host=evil.test;proto=http",
    };
    const theirs = key.proof("POST", "http://evil.test/token");
    const refused = await postToken(bench, body, { ...spoofed, dpop: theirs });
    expect(at(refused, "error")).toBe("invalid_dpop_proof");
    const ours = await postToken(bench, body, { ...spoofed, dpop: proofFor("/token") });
    expect(textAt(ours, "token_type")).toBe("DPoP");
  });
  it("refuses a proof that was used before, with whatever it comes", async () => {
    const dpop = proofFor("/token");
    opened(await exchangeBound({}, dpop));
    const again = await exchangeBound({}, dpop);
    expect([again.status, at(again, "error")]).toEqual([400, "invalid_dpop_proof"]);
    expect(bench.ledger.inspect.tasks()).toHaveLength(1);
  });
  it("spends no proof of a stranger's: whoever is not known writes nothing", async () => {
    const dpop = proofFor("/token");
    const stranger = await exchangeBound({ subject_token: "a.b.c" }, dpop);
    expect(at(stranger, "error")).toBe("invalid_request");
    opened(await exchangeBound({}, dpop));
  });
  it("is the same request under its Idempotency-Key with the same key alone", async () => {
    const body = tokenForm(bench.identities.svid("bot"));
    const send = (by: TestDpopKey) =>
      postToken(bench, body, { dpop: proofFor("/token", null, by), "idempotency-key": "k1" });
    const first = opened(await send(key));
    expect(opened(await send(key)).id).toBe(first.id);
    expect(opened(await send(createTestDpopKey(bench.clock))).id).not.toBe(first.id);
  });
});

describe("a task token that is bound to a key", () => {
  const calls = (id: string, lease: string): readonly (readonly [string, string])[] => [
    ["GET", `/v1/tasks/${id}`],
    ["GET", `/v1/tasks/${id}/chain`],
    ["GET", `/v1/leases/${lease}`],
    ["POST", `/v1/leases/${lease}/renew`],
    ["POST", `/v1/tasks/${id}/heartbeat`],
    ["POST", `/v1/leases/${lease}/end`],
    ["POST", `/v1/tasks/${id}/complete`],
  ];
  it("counts at every endpoint with a proof of that key, and as nothing else", async () => {
    const task = opened(await exchangeBound());
    const other = createTestDpopKey(bench.clock);
    for (const [method, path] of calls(task.id, task.leases[0] ?? "")) {
      const bearer = await bench.call(method, path, { token: task.token });
      expect([path, bearer.status, at(bearer, "code")]).toEqual([path, 401, "unauthenticated"]);
      expect(bearer.headers.get("www-authenticate")).toMatch(
        /DPoP realm="mayfly", algs="[^"]*ES256[^"]*", error="invalid_token"/,
      );
      const foreign = await callBound(method, path, task.token, { by: other });
      expect([path, foreign.status, at(foreign, "code")]).toEqual([path, 401, "unauthenticated"]);
      const good = await callBound(method, path, task.token);
      // A renewal gets as far as its lease, which lives as long as its role lets it already.
      expect([path, good.status]).toEqual([path, path.endsWith("/renew") ? 409 : 200]);
    }
  });
  it("needs a proof of this request and of this token, which was not used", async () => {
    const task = opened(await exchangeBound());
    const path = `/v1/tasks/${task.id}`;
    const used = proofFor(path, task.token, key, "GET");
    expect((await callBound("GET", path, task.token, { dpop: used })).status).toBe(200);
    for (const dpop of [
      used,
      proofFor(path, null, key, "GET"),
      proofFor(path, "another", key, "GET"),
      proofFor(path, task.token, key, "POST"),
      proofFor("/v1/tasks", task.token, key, "GET"),
    ]) {
      const refused = await callBound("GET", path, task.token, { dpop });
      expect([refused.status, at(refused, "code")]).toEqual([401, "invalid_dpop_proof"]);
      expect(refused.headers.get("www-authenticate")).toContain('error="invalid_dpop_proof"');
    }
    const none = await bench.call("GET", path, {
      headers: { authorization: `DPoP ${task.token}` },
    });
    expect(at(none, "code")).toBe("invalid_dpop_proof");
  });
  it("is refused as Bearer beside a proof too: which of the two is meant is not guessed", async () => {
    const task = opened(await exchangeBound());
    const path = `/v1/tasks/${task.id}`;
    const headers = { dpop: proofFor(path, task.token, key, "GET") };
    const answer = await bench.call("GET", path, { token: task.token, headers });
    expect([answer.status, at(answer, "where")]).toEqual([400, "Authorization"]);
  });
  it("as a subject token needs its key, and draws under the same binding", async () => {
    const task = opened(await exchangeBound());
    const draw = (headers: Readonly<Record<string, string>>) =>
      postToken(bench, drawForm(task.token, task.id), headers);
    for (const headers of [
      {},
      { dpop: proofFor("/token", null, createTestDpopKey(bench.clock)) },
    ]) {
      const refused = await draw(headers);
      expect([refused.status, at(refused, "error"), at(refused, "where")]).toEqual([
        400,
        "invalid_request",
        "subject_token",
      ]);
    }
    const drawn = await draw({ dpop: proofFor("/token") });
    expect(textAt(drawn, "token_type")).toBe("DPoP");
    expect(claimsOf(opened(drawn).token)).toMatchObject({ cnf: { jkt: key.thumbprint } });
  });
  it("stays bound through heartbeats, and so are the children that are opened with it", async () => {
    const task = opened(await exchangeBound());
    const beat = await callBound("POST", `/v1/tasks/${task.id}/heartbeat`, task.token);
    expect(textAt(beat, "token_type")).toBe("DPoP");
    const token = textAt(beat, "access_token");
    expect(claimsOf(token)).toMatchObject({ cnf: { jkt: key.thumbprint } });
    const child = await exchangeBound({
      subject_token: token,
      subject_token_type: `${TYPE}access_token`,
      authorization_details: JSON.stringify([
        readerTask({ parent: task.id, deadline: "5m", credentials: [{ role: READER }] }),
      ]),
    });
    expect(claimsOf(opened(child).token)).toMatchObject({ cnf: { jkt: key.thumbprint } });
  });
  it("is renewed by its workload with the key, and not by the identity alone", async () => {
    const task = opened(await exchangeBound());
    const path = `/v1/tasks/${task.id}/heartbeat`;
    const svid = bench.identities.svid("bot");
    const bearer = await bench.call("POST", path, { token: svid });
    expect([bearer.status, at(bearer, "code")]).toEqual([401, "invalid_identity"]);
    const proven = await callBound("POST", path, svid);
    expect([proven.status, textAt(proven, "token_type")]).toEqual([200, "DPoP"]);
  });
});

describe("a bearer's task token", () => {
  it("is not one of DPoP's, whatever proof comes with it", async () => {
    const task = opened(await postToken(bench, tokenForm(bench.identities.svid("bot"))));
    const answer = await callBound("GET", `/v1/tasks/${task.id}`, task.token);
    expect([answer.status, at(answer, "code")]).toEqual([401, "unauthenticated"]);
  });
});

describe("proof of possession may be required", () => {
  it("by a trust root: its identities count with a proof alone", async () => {
    const { trustDomain } = bench.identities;
    const config = { trust_domain: "acme.test", bundle: trustDomain.bundle() };
    const put = await bench.admin("PUT", "/v1/trust/acme.test", {
      kind: "spiffe",
      config: { ...config, proof_of_possession: "required" },
    });
    expect(put.status).toBe(200);
    const bearer = await postToken(bench, tokenForm(bench.identities.svid("bot")));
    expect([bearer.status, at(bearer, "error")]).toEqual([400, "invalid_dpop_proof"]);
    expect(textAt(bearer, "error_description")).toContain("acme.test");
    expect(textAt(await exchangeBound(), "token_type")).toBe("DPoP");
  });
  it("by a policy, which reads how the task is bound", async () => {
    const text = `
      @id("readers") permit (principal, action in Action::"credential", resource);
      @id("bound-alone") forbid (principal, action in Action::"credential", resource)
      unless { context.task.key_binding == "dpop" };`;
    const put = await bench.admin("PUT", "/v1/policies", {
      sources: [{ name: "bound.cedar", text }],
    });
    expect(put.status).toBe(200);
    const bearer = await postToken(bench, tokenForm(bench.identities.svid("bot")));
    expect([at(bearer, "error"), at(bearer, "determining_policies")]).toEqual([
      "access_denied",
      ["bound-alone"],
    ]);
    opened(await exchangeBound());
  });
});

describe("nonces", () => {
  it("are asked for where the setting says so, and come with every answer to a proof", async () => {
    bench = await createBrokerBench({ dpopNonces: true });
    const asked = await exchangeBound();
    expect([asked.status, at(asked, "error")]).toEqual([400, "use_dpop_nonce"]);
    const nonce = asked.headers.get("dpop-nonce");
    expect(nonce).toMatch(/^\d+\.[0-9a-f]{64}$/);
    const claims = { nonce };
    const dpop = key.proof("POST", `${ISSUER}/token`, null, { claims });
    const answer = await exchangeBound({}, dpop);
    const task = opened(answer);
    expect(answer.headers.get("dpop-nonce")).toBe(nonce);
    const path = `/v1/tasks/${task.id}`;
    const without = await callBound("GET", path, task.token);
    expect([without.status, at(without, "code")]).toEqual([401, "use_dpop_nonce"]);
    expect(without.headers.get("www-authenticate")).toContain('error="use_dpop_nonce"');
    const withNonce = key.proof("GET", `${ISSUER}${path}`, task.token, { claims });
    expect((await callBound("GET", path, task.token, { dpop: withNonce })).status).toBe(200);
  });
});

import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { createTestDpopKey } from "@mayfly/testkit";
import { createBrokerBench, ISSUER, type BrokerBench } from "../testing/broker-bench.ts";
import { at, opened, postToken, textAt, tokenForm, TYPE } from "../testing/token-form.ts";
import type { CertificateChain } from "./peer-certificates.ts";

const MINE: CertificateChain = [Buffer.from("a certificate")];
const OTHER: CertificateChain = [Buffer.from("another certificate"), Buffer.from("a certificate")];

let bench: BrokerBench;
let shown: CertificateChain | null;
const make = (certificateBoundTokens = true) =>
  createBrokerBench({ certificateBoundTokens, peerCertificates: () => shown });
beforeEach(async () => {
  shown = MINE;
  bench = await make();
});

const exchange = (change: Readonly<Record<string, string>> = {}, headers = {}) =>
  postToken(bench, tokenForm(bench.identities.svid("bot"), change), headers);
const claimsOf = (token: string): unknown =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
const thumbprint = createHash("sha256").update(MINE[0]).digest("base64url");

describe("a task that is opened over mTLS", () => {
  it("has tokens that are bound to the certificate, and sent as Bearer", async () => {
    const answer = await exchange();
    expect(textAt(answer, "token_type")).toBe("Bearer");
    expect(claimsOf(opened(answer).token)).toMatchObject({ cnf: { "x5t#S256": thumbprint } });
  });
  it("takes its token over connections that show that certificate, and no other", async () => {
    const { id, token } = opened(await exchange());
    const path = `/v1/tasks/${id}`;
    expect((await bench.call("GET", path, { token })).status).toBe(200);
    const beat = await bench.call("POST", `${path}/heartbeat`, { token });
    expect(claimsOf(textAt(beat, "access_token"))).toMatchObject({
      cnf: { "x5t#S256": thumbprint },
    });
    for (const chain of [null, OTHER]) {
      shown = chain;
      for (const [method, to] of [
        ["GET", path],
        ["POST", `${path}/heartbeat`],
        ["POST", `${path}/complete`],
      ] as const) {
        const refused = await bench.call(method, to, { token });
        expect([to, refused.status, at(refused, "code")]).toEqual([to, 401, "unauthenticated"]);
        expect(refused.headers.get("www-authenticate")).toContain('error="invalid_token"');
      }
    }
    shown = MINE;
    expect((await bench.call("POST", `${path}/complete`, { token })).status).toBe(200);
  });
  it("is drawn on with its token over such a connection alone", async () => {
    const { id, token } = opened(await exchange());
    const draw = () =>
      exchange({
        subject_token: token,
        subject_token_type: `${TYPE}access_token`,
        authorization_details: JSON.stringify([{ type: "mayfly-task", task: id }]),
      });
    expect(opened(await draw()).id).toBe(id);
    shown = OTHER;
    expect(at(await draw(), "where")).toBe("subject_token");
    shown = null;
    expect(at(await draw(), "where")).toBe("subject_token");
  });
  it("is revoked by its holder over such a connection alone", async () => {
    const { id, token } = opened(await exchange());
    const revoke = () =>
      bench.call("POST", "/revoke", {
        body: new URLSearchParams({ token }).toString(),
        headers: { "content-type": "application/x-www-form-urlencoded" },
      });
    const stateOf = () => bench.ledger.inspect.tasks().find((task) => task.id === id)?.state;
    for (const chain of [null, OTHER]) {
      shown = chain;
      expect([(await revoke()).status, stateOf()]).toEqual([401, "active"]);
    }
    shown = MINE;
    expect([(await revoke()).status, stateOf()]).toEqual([200, "cancelled"]);
  });
  it("is bound to a DPoP proof's key where there is one", async () => {
    const key = createTestDpopKey(bench.clock);
    const answer = await exchange({}, { dpop: key.proof("POST", `${ISSUER}/token`) });
    expect(textAt(answer, "token_type")).toBe("DPoP");
    const { id, token } = opened(answer);
    const bearer = await bench.call("GET", `/v1/tasks/${id}`, { token });
    expect(bearer.status).toBe(401);
  });
  it("is told by introspection, and by a policy's fact", async () => {
    const { token } = opened(await exchange());
    const form = new URLSearchParams({ token }).toString();
    const seen = await bench.call("POST", "/introspect", {
      token: bench.identities.svid("bot"),
      body: form,
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    expect(seen.body).toMatchObject({ active: true, cnf: { "x5t#S256": thumbprint } });
    const text = `@id("c") permit (principal, action in Action::"credential", resource)
      when { context.task.key_binding == "certificate" };`;
    await bench.admin("PUT", "/v1/policies", { sources: [{ name: "c.cedar", text }] });
    opened(await exchange());
    shown = null;
    expect(at(await exchange(), "error")).toBe("access_denied");
  });
});

describe("where tasks are not to be bound to certificates", () => {
  it("one over mTLS has a bearer's token, which counts everywhere", async () => {
    bench = await make(false);
    const { id, token } = opened(await exchange());
    expect(claimsOf(token)).not.toHaveProperty("cnf");
    shown = null;
    expect((await bench.call("GET", `/v1/tasks/${id}`, { token })).status).toBe(200);
  });
});

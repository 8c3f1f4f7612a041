import { describe, expect, it } from "vitest";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { bodyOf, rawRequest, serveBench, statusOf } from "../testing/served-bench.ts";
import { createBrokerBench, ISSUER } from "../testing/broker-bench.ts";
import { exchange, opened, tokenForm } from "../testing/token-form.ts";
import { createSourcePace } from "./source-pace.ts";

const FORM = ["Content-Type", "application/x-www-form-urlencoded"] as const;
const FAILURES = 3;

/** A broker behind a real socket, and a source that has used up its refused proofs. */
async function refusedTooOften() {
  const clock = createFakeClock();
  const settings = { failuresAtOnce: FAILURES, failuresPerSecond: 1 };
  const sourcePace = createSourcePace(settings, { clock, log: createRecordingLog() });
  const served = await serveBench({ sourcePace });
  const forged = tokenForm(`${served.bench.identities.svid("bot").slice(0, -8)}AAAAAAAA`);
  const post = (form: string) => served.send(rawRequest("POST", "/token", [FORM], form));
  const answers: string[] = [];
  for (let turn = 0; turn < FAILURES; turn++) answers.push(await post(forged));
  return { served, clock, post, answers };
}

describe("a source whose proofs were refused too often", () => {
  it("is answered unread, whatever it sends, until time has passed", async () => {
    const { served, clock, post, answers } = await refusedTooOften();
    await using _ = served;
    expect(answers.map(statusOf)).toEqual([400, 400, 400]);
    const sound = tokenForm(served.bench.identities.svid("bot"));
    const refused = await post(sound);
    expect(statusOf(refused)).toBe(429);
    expect(refused).toMatch(/^Retry-After: 1\r$/im);
    expect(bodyOf(refused)).toMatchObject({
      error: "temporarily_unavailable",
      code: "rate_limited",
    });
    const bearer = ["Authorization", "Bearer nothing"] as const;
    const other = await served.send(rawRequest("GET", "/v1/leases", [bearer]));
    expect(statusOf(other)).toBe(429);
    expect(bodyOf(other)).toMatchObject({ status: 429, code: "rate_limited" });
    await clock.advance(1_000);
    expect(statusOf(await post(sound))).toBe(200);
  });
  it("is one that revokes what is no token of ours, and one that was is not counted", async () => {
    const clock = createFakeClock();
    const settings = { failuresAtOnce: FAILURES, failuresPerSecond: 1 };
    const sourcePace = createSourcePace(settings, { clock, log: createRecordingLog() });
    await using served = await serveBench({ sourcePace });
    const { bench } = served;
    const { token } = opened(await exchange(bench, bench.identities.svid("bot")));
    const revoke = async (sent: string): Promise<number> => {
      const form = new URLSearchParams({ token: sent }).toString();
      return statusOf(await served.send(rawRequest("POST", "/revoke", [FORM], form)));
    };
    for (let turn = 0; turn <= FAILURES; turn++) expect(await revoke(token)).toBe(200);
    const sound = tokenForm(bench.identities.svid("bot"));
    const post = () => served.send(rawRequest("POST", "/token", [FORM], sound));
    expect(statusOf(await post())).toBe(200);
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    for (let turn = 0; turn < FAILURES; turn++) expect(await revoke(forged)).toBe(200);
    expect(statusOf(await post())).toBe(429);
    // An end is listened to all the same.
    expect(await revoke(token)).toBe(200);
  });
  it("is one that makes keys and backends up, and fills no log by it", async () => {
    const clock = createFakeClock();
    const settings = { failuresAtOnce: FAILURES, failuresPerSecond: 1 };
    const sourcePace = createSourcePace(settings, { clock, log: createRecordingLog() });
    await using served = await serveBench({ sourcePace });
    const { bench } = served;
    const { token } = opened(await exchange(bench, bench.identities.svid("bot")));
    const [, payload = "", signature = ""] = token.split(".");
    const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const ofKey = (kid: string) =>
      `${encoded({ alg: "ES256", kid, typ: "at+jwt" })}.${payload}.${signature}`;
    const ofBackend = (name: string) =>
      `e30.${encoded({ iss: `${ISSUER}/backends/${name}` })}.${signature}`;
    const revoke = async (sent: string): Promise<number> => {
      await bench.clock.advance(10);
      const form = new URLSearchParams({ token: sent }).toString();
      return statusOf(await served.send(rawRequest("POST", "/revoke", [FORM], form)));
    };
    const logged = () => bench.log.messages("warn").length;
    for (const made of [ofKey, ofBackend]) {
      await clock.advance(10_000);
      const statuses: number[] = [];
      for (const name of ["one", "two", "three", "four"]) statuses.push(await revoke(made(name)));
      expect(statuses).toEqual([200, 503, 429, 429]);
      const before = logged();
      for (const name of ["five", "six"]) expect(await revoke(made(name))).toBe(429);
      expect(logged()).toBe(before);
    }
    // Its ends are listened to all the same.
    expect(await revoke(token)).toBe(200);
  });
  it("ends its tasks and sends its heartbeats, and sees what needs no proof", async () => {
    const { served } = await refusedTooOften();
    await using _ = served;
    const { bench } = served;
    const { id, token } = opened(await exchange(bench, bench.identities.svid("bot")));
    const bearer = ["Authorization", `Bearer ${token}`] as const;
    const json = ["Content-Type", "application/json"] as const;
    for (const what of ["heartbeat", "complete"]) {
      const path = `/v1/tasks/${id}/${what}`;
      const answer = await served.send(rawRequest("POST", path, [bearer, json], "{}"));
      expect(statusOf(answer)).toBe(200);
    }
    for (const path of ["/jwks", "/healthz", "/.well-known/oauth-authorization-server"]) {
      expect(statusOf(await served.send(rawRequest("GET", path, [])))).toBe(200);
    }
  });
});

describe("a workload that exchanges too often", () => {
  it("is told when to come again, before anything is decided, and others are not", async () => {
    const settings = { workloadPace: { perSecond: 0.2, atOnce: 10 } };
    const bench = await createBrokerBench({ settings });
    expect((await exchange(bench, bench.identities.svid("bot"))).status).toBe(200);
    const decided = bench.ledger.inspect.events().length;
    const refused = await exchange(bench, bench.identities.svid("bot"));
    expect(refused).toMatchObject({
      status: 429,
      body: { error: "temporarily_unavailable", code: "rate_limited" },
    });
    expect(refused.headers.get("retry-after")).toBe("5");
    expect(bench.ledger.inspect.events()).toHaveLength(decided);
    expect((await exchange(bench, bench.identities.svid("other"))).status).toBe(200);
    await bench.clock.advance(5_000);
    expect((await exchange(bench, bench.identities.svid("bot"))).status).toBe(200);
  });
});

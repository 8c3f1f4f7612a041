import { describe, expect, it } from "vitest";
import { createFakeClock, createRecordingLog, createTestDpopKey } from "@mayfly/testkit";
import { eventually } from "@mayfly/testkit/vitest";
import {
  bodyOf,
  rawRequest,
  serveBench,
  statusOf,
  type ServedOptions,
} from "../testing/served-bench.ts";
import { createBrokerBench, ISSUER } from "../testing/broker-bench.ts";
import { exchange, opened, tokenForm, TYPE } from "../testing/token-form.ts";
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

/** A broker behind a real socket, whose sources are paced. */
async function pacedBench(more: ServedOptions = {}, sourcesMax?: number) {
  const clock = createFakeClock();
  const bound = sourcesMax === undefined ? {} : { sourcesMax };
  const settings = { failuresAtOnce: FAILURES, failuresPerSecond: 1, ...bound };
  const sourcePace = createSourcePace(settings, { clock, log: createRecordingLog() });
  const served = await serveBench({ sourcePace, ...more });
  const sound = (...headers: (readonly [string, string])[]): string =>
    rawRequest(
      "POST",
      "/token",
      [FORM, ...headers],
      tokenForm(served.bench.identities.svid("bot")),
    );
  const status = async (sent: string): Promise<number> => statusOf(await served.send(sent));
  return { served, clock, sound, status };
}

const JSON_TYPE = ["Content-Type", "application/json"] as const;
const NO_FORM = rawRequest("POST", "/token", [FORM], "grant_type=x");
/** What is sent, and how each is answered as long as its source is listened to. */
const MALFORMED: readonly (readonly [what: string, sent: string, status: number])[] = [
  ["a form that is none of ours", NO_FORM, 400],
  ["a body of another type", rawRequest("POST", "/token", [JSON_TYPE], "{}"), 400],
  ["a body that is too large", rawRequest("POST", "/token", [FORM], "x".repeat(100_000)), 413],
  [
    "details that are no JSON",
    rawRequest("POST", "/token", [FORM], tokenForm("x", { authorization_details: "{" })),
    400,
  ],
  ["a form of the other endpoints", rawRequest("POST", "/introspect", [FORM], "x=1"), 400],
  ["two Hosts", rawRequest("POST", "/v1/plan", [["Host", "b"]]), 400],
  ["a Host that is none", "POST /token HTTP/1.1\r\nHost: a b/c\r\nContent-Length: 0\r\n\r\n", 400],
  ["what is no HTTP", "hello\r\n\r\n", 400],
  ["a head that is too large", `GET /${"x".repeat(40_000)} HTTP/1.1\r\n`, 431],
  ["an expectation that nobody meets", rawRequest("POST", "/token", [["Expect", "magic"]]), 400],
];

describe("a source that sends what is no request", () => {
  it.each(MALFORMED)("is not listened to after so many of %s", async (_what, sent, expected) => {
    const { served, clock, sound, status } = await pacedBench();
    await using _ = served;
    for (let turn = 0; turn < FAILURES; turn++) expect(await status(sent)).toBe(expected);
    expect(await status(sound())).toBe(429);
    await clock.advance(1_000);
    expect(await status(sound())).toBe(200);
  });
  it("is cut without an answer where there is no request to be answered", async () => {
    const { served, clock } = await pacedBench();
    await using _ = served;
    const junk = "hello\r\n\r\n";
    for (let turn = 0; turn < FAILURES; turn++) {
      expect(statusOf(await served.send(junk))).toBe(400);
    }
    expect(await served.send(junk)).toBe("");
    await clock.advance(1_000);
    expect(statusOf(await served.send(junk))).toBe(400);
  });
  it("locks nobody out by it together with refused proofs: each has a bound of its own", async () => {
    const { served, sound, status } = await pacedBench();
    await using _ = served;
    const forged = `${served.bench.identities.svid("bot").slice(0, -8)}AAAAAAAA`;
    const refused = rawRequest("POST", "/token", [FORM], tokenForm(forged));
    for (let turn = 1; turn < FAILURES; turn++) {
      expect([await status(refused), await status(NO_FORM)]).toEqual([400, 400]);
    }
    expect(await status(sound())).toBe(200);
    expect(await status(NO_FORM)).toBe(400);
    expect(await status(sound())).toBe(429);
  });
  it("is none whose workload is known, whatever mistakes that one makes", async () => {
    const { served, sound, status } = await pacedBench();
    await using _ = served;
    const { bench } = served;
    const { token, leases } = opened(await exchange(bench, bench.identities.svid("bot")));
    const bearer = ["Authorization", `Bearer ${token}`] as const;
    const renew = rawRequest("POST", `/v1/leases/${leases[0]}/renew`, [bearer, JSON_TYPE], "{");
    const bot = { actor_token: bench.identities.svid("bot"), actor_token_type: `${TYPE}jwt` };
    const twice = rawRequest(
      "POST",
      "/token",
      [FORM],
      tokenForm(bench.identities.svid("bot"), bot),
    );
    for (let turn = 0; turn <= FAILURES; turn++) {
      expect([await status(renew), await status(twice)]).toEqual([400, 400]);
    }
    expect(await status(sound())).toBe(200);
  });
  it("is none that is told to send its proof with a nonce", async () => {
    const { served, sound, status } = await pacedBench({ dpopNonces: true });
    await using _ = served;
    const key = createTestDpopKey(served.bench.clock);
    for (let turn = 0; turn <= FAILURES; turn++) {
      expect(await status(sound(["DPoP", key.proof("POST", `${ISSUER}/token`)]))).toBe(400);
    }
    expect(await status(sound())).toBe(200);
  });
  it("is none that was cut off in the middle of a body", async () => {
    const { served, sound, status } = await pacedBench();
    await using _ = served;
    for (let turn = 0; turn <= FAILURES; turn++) {
      const cut = await served.connect();
      cut.write(rawRequest("POST", "/token", [FORM, ["Content-Length", "1000"]], "grant_type="));
      cut.socket.end();
      await cut.answered();
      cut.socket.destroy();
      await eventually(async () => expect(await served.connections()).toBe(0));
    }
    expect(await status(sound())).toBe(200);
  });
});

describe("strangers from more sources than are kept", () => {
  const KEPT = 16;
  const PROXY = [{ address: "127.0.0.1", family: "ipv4", prefix: 32 }] as const;
  const from = (address: string) => ["X-Forwarded-For", address] as const;
  const rubbish = (address: string) =>
    rawRequest("POST", "/token", [FORM, from(address)], "grant_type=x");
  /** Addresses of one host each: IPv4 ones, and /64s of which each request has another address. */
  const strangers = (count: number): readonly ((turn: number) => string)[] =>
    Array.from({ length: count }, (_, n) =>
      n % 2 === 0
        ? () => `198.51.${n >> 8}.${n & 255}`
        : (turn: number) => `2001:db8:0:${n.toString(16)}::${turn + 1}`,
    );
  const AGENT = from("192.0.2.7");

  it("keep no workload out, and what is known of them stays bounded", async () => {
    const { served, sound, status } = await pacedBench({ proxies: PROXY }, KEPT);
    await using _ = served;
    const { sourcePace } = served.bench;
    const hosts = strangers(KEPT * 4);
    for (const [n, address] of hosts.entries()) {
      for (let turn = 0; turn < FAILURES; turn++) {
        expect(await status(rubbish(address(turn)))).toBe(400);
      }
      expect(sourcePace.refuses(address(FAILURES))).toBe(true);
      if (n % KEPT === 0) expect(await status(sound(AGENT))).toBe(200);
    }
    const refused = hosts.filter((address) => sourcePace.refuses(address(FAILURES)));
    expect(refused).toEqual(hosts.slice(-KEPT));
    expect(await status(rubbish(hosts.at(-1)?.(FAILURES) ?? ""))).toBe(429);
    expect(await status(sound(AGENT))).toBe(200);
  });
  it("are cut each for itself: a workload beside one of them is heard again as time passes", async () => {
    const { served, clock, sound, status } = await pacedBench({ proxies: PROXY }, KEPT);
    await using _ = served;
    const [stranger, beside] = ["2001:db8:0:5::1", "2001:db8:0:5:6:7:8:9"] as const;
    for (let turn = 0; turn < FAILURES; turn++) await served.send(rubbish(stranger));
    expect(await status(sound(from(beside)))).toBe(429);
    expect(await status(sound(from("2001:db8:0:6::1")))).toBe(200);
    await clock.advance(1_000);
    expect(await status(sound(from(beside)))).toBe(200);
  });
  it("who break off before a request is one are not taken for the proxy that they came by", async () => {
    const { served, sound, status } = await pacedBench({ proxies: PROXY }, KEPT);
    await using _ = served;
    for (let turn = 0; turn <= FAILURES; turn++) expect(await status("hello\r\n\r\n")).toBe(400);
    expect(await status(sound())).toBe(200);
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

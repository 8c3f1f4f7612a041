import { describe, expect, test } from "vitest";
import { createBrokerHttp, type Call } from "./broker-http.ts";
import { MayflyError } from "./mayfly-error.ts";
import { Secret } from "./secret.ts";
import { startServer, type Heard, type Said, type TestServer } from "./testing/http-server.ts";
import { testSurroundings } from "./testing/test-surroundings.ts";

const TOKEN = "eyJhbGciOi.very.secret";
const call: Call = {
  method: "POST",
  path: "/token",
  form: "a=b",
  idempotencyKey: "k1",
  token: new Secret(TOKEN),
  repeatable: true,
  timeoutMs: 2_000,
  withinMs: 5_000,
};
const OK: Said = { status: 200, body: `{"ok":true}` };
const busy = (retryAfter?: string): Said => ({
  status: 503,
  headers: retryAfter === undefined ? {} : { "retry-after": retryAfter },
  body: `{"error":"temporarily_unavailable","code":"busy","error_description":"Full."}`,
});

const send = (server: TestServer, more: Partial<Call> = {}) =>
  createBrokerHttp(new URL(server.url), testSurroundings()).send({ ...call, ...more });
async function refusal(outcome: Promise<unknown>): Promise<MayflyError> {
  const error: unknown = await outcome.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (MayflyError.is(error)) return error;
  throw new Error("expected a MayflyError", { cause: error });
}
const inTurn =
  (...said: readonly (Said | null)[]) =>
  (_heard: Heard, count: number): Said | null =>
    said[Math.min(count, said.length) - 1] ?? null;

describe("a call that may be repeated", () => {
  test("is sent again byte for byte when its reply was lost", async () => {
    await using server = await startServer(inTurn(null, OK));
    expect(await send(server)).toEqual({ ok: true });
    const [first, second] = server.heard;
    expect(second).toEqual(first);
    expect(second?.headers["idempotency-key"]).toBe("k1");
  });
  test("waits as long as Retry-After says", async () => {
    await using server = await startServer(inTurn(busy("1"), OK));
    const from = performance.now();
    await send(server);
    expect(performance.now() - from).toBeGreaterThan(990);
  });
  test("is given up when that is longer than it may take, and the error says how long", async () => {
    await using server = await startServer(() => busy("60"));
    const error = await refusal(send(server));
    expect(error).toMatchObject({ code: "busy", retryAfterSeconds: 60, status: 503 });
    expect(server.heard).toHaveLength(1);
  });
  test("is given up after five attempts", async () => {
    await using server = await startServer(() => busy());
    expect((await refusal(send(server, { withinMs: 30_000 }))).code).toBe("busy");
    expect(server.heard).toHaveLength(5);
  });
  test("is not sent again after a refusal", async () => {
    const body = JSON.stringify({
      error: "access_denied",
      code: "denied",
      error_description: "No.",
      hint: "Ask for less.",
      decision: "dec_1",
      determining_policies: ["p1"],
      trace: "t1",
    });
    await using server = await startServer(() => ({ status: 400, body }));
    expect(await refusal(send(server))).toMatchObject({
      code: "denied",
      message: "No. Ask for less. [denied; policies p1; decision dec_1; trace t1]",
    });
    expect(server.heard).toHaveLength(1);
  });
});

test("a call that may not be repeated is sent once", async () => {
  await using server = await startServer(() => null);
  expect((await refusal(send(server, { repeatable: false }))).code).toBe("broker_unreachable");
  expect(server.heard).toHaveLength(1);
});

test.each([
  ["a page", { status: 200, body: "<html>" }],
  ["a list", { status: 200, body: "[]" }],
  ["an error without a code", { status: 404, body: `{"message":"no"}` }],
] as const)("%s is no broker's answer", async (_name, said) => {
  await using server = await startServer(() => said);
  const error = await refusal(send(server));
  expect(error.code).toBe("not_a_broker");
  expect(error.where).toBe(server.url);
});

test("a redirect is not followed: it would carry the token elsewhere", async () => {
  await using elsewhere = await startServer(() => OK);
  const headers = { location: elsewhere.url };
  await using server = await startServer(() => ({ status: 307, headers, body: "" }));
  const error = await refusal(send(server, { repeatable: false }));
  expect(error.code).toBe("broker_unreachable");
  expect(elsewhere.heard).toEqual([]);
});

test("an answer that never ends is cut", async () => {
  const body = `{"a":"${"x".repeat(5 * 1024 * 1024)}"}`;
  await using server = await startServer(() => ({ status: 200, body }));
  expect((await refusal(send(server))).message).toContain("longer than 4 MiB");
});

test("no error holds the token, and control characters of an answer do nothing", async () => {
  const body = JSON.stringify({ code: "denied", detail: "\u001b[2Jgone", todo: "x" });
  await using server = await startServer(inTurn(null, { status: 403, body }));
  const lost = await refusal(send(server, { repeatable: false }));
  const denied = await refusal(send(server));
  for (const error of [lost, denied]) {
    expect(JSON.stringify([error, error.message, error.stack])).not.toContain(TOKEN);
  }
  expect(denied.message).not.toContain("\u001b");
});

import { createHash, createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createBrokerHttp, type BrokerHttp } from "./broker-http.ts";
import { connect } from "./connection.ts";
import { createDpopKey } from "./dpop-key.ts";
import { Secret } from "./secret.ts";
import { startServer, type Heard, type TestServer } from "./testing/http-server.ts";
import { testSurroundings } from "./testing/test-surroundings.ts";

const ISSUER = "https://broker.test/eu";
const around = testSurroundings();
const TOKEN = new Secret("task.token.x");
const post = {
  method: "POST",
  path: "/v1/tasks/1/heartbeat",
  token: TOKEN,
  json: {},
  repeatable: false,
  timeoutMs: 2_000,
  withinMs: 5_000,
} as const;
const httpOf = async (server: TestServer, aheadMs = 0): Promise<BrokerHttp> =>
  createBrokerHttp(new URL(server.url), around, {
    key: await createDpopKey(ISSUER, around),
    aheadMs,
  });

type Members = Readonly<Record<string, unknown>>;
interface Opened {
  readonly header: Members & { readonly jwk: Readonly<Record<string, string>> };
  readonly claims: Members;
  readonly isSigned: boolean;
}

function open({ headers }: Heard): Opened {
  const [header = "", payload = "", signature = ""] = String(headers["dpop"]).split(".");
  const parsed = (part: string): unknown =>
    JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
  const { jwk, ...rest } = parsed(header) as Opened["header"];
  const key = createPublicKey({ key: { ...jwk }, format: "jwk" });
  const isSigned = verify(
    "sha256",
    Buffer.from(`${header}.${payload}`),
    { key, dsaEncoding: "ieee-p1363" },
    Buffer.from(signature, "base64url"),
  );
  return { header: { ...rest, jwk }, claims: parsed(payload) as Members, isSigned };
}

describe("a request that is proven", () => {
  test("bears a proof of itself and of its token, under the issuer's name", async () => {
    await using server = await startServer(() => ({ status: 200, body: "{}" }));
    const before = Math.floor(Date.now() / 1_000);
    await (await httpOf(server)).send(post);
    const [heard] = server.heard;
    expect(heard?.headers.authorization).toBe(`DPoP ${TOKEN.expose()}`);
    const { header, claims, isSigned } = open(heard!);
    expect(isSigned).toBe(true);
    expect(header).toMatchObject({ typ: "dpop+jwt", alg: "ES256", jwk: { kty: "EC" } });
    expect(Object.keys(header.jwk).toSorted()).toEqual(["crv", "kty", "x", "y"]);
    expect(claims).toMatchObject({
      htm: "POST",
      htu: `${ISSUER}/v1/tasks/1/heartbeat`,
      ath: createHash("sha256").update(TOKEN.expose()).digest("base64url"),
    });
    expect(claims["iat"]).toBeGreaterThanOrEqual(before);
  });
  test("without a token has no hash of one", async () => {
    await using server = await startServer(() => ({ status: 200, body: "{}" }));
    const { token: _token, ...rest } = post;
    await (await httpOf(server)).send(rest);
    expect(open(server.heard[0]!).claims).not.toHaveProperty("ath");
    expect(server.heard[0]?.headers).not.toHaveProperty("authorization");
  });
  test("has the broker's time, where this machine's clock is wrong", async () => {
    await using server = await startServer(() => ({ status: 200, body: "{}" }));
    await (await httpOf(server, 3_600_000)).send(post);
    const { iat } = open(server.heard[0]!).claims as { readonly iat: number };
    expect(iat - Date.now() / 1_000).toBeGreaterThan(3_500);
  });
  test("is sent again at once, though it may not be repeated, for the nonce that was asked for", async () => {
    const asked = {
      status: 401,
      headers: { "dpop-nonce": "n1" },
      body: `{"code":"use_dpop_nonce","detail":"A nonce."}`,
    };
    await using server = await startServer((_heard, count) =>
      count === 1 ? asked : { status: 200, headers: { "dpop-nonce": "n2" }, body: "{}" },
    );
    const http = await httpOf(server);
    await http.send(post);
    await http.send(post);
    expect(server.heard.map((heard) => open(heard).claims["nonce"])).toEqual([
      undefined,
      "n1",
      "n2",
    ]);
  });
  test("is not sent for ever to a broker that is content with no nonce", async () => {
    await using server = await startServer(() => ({
      status: 401,
      headers: { "dpop-nonce": "n" },
      body: `{"code":"use_dpop_nonce","detail":"A nonce."}`,
    }));
    await expect((await httpOf(server)).send(post)).rejects.toMatchObject({
      code: "use_dpop_nonce",
    });
    expect(server.heard).toHaveLength(2);
  });
});

describe("a task's key", () => {
  const metadata = (server: TestServer, algorithms: unknown) => ({
    status: 200,
    body: JSON.stringify({
      issuer: server.url,
      dpop_signing_alg_values_supported: algorithms,
    }),
  });
  test.each([
    ["the broker offers it", ["ES256"], undefined, "DPoP"],
    ["the broker offers another alone", ["RS256"], undefined, "Bearer"],
    ["the broker says nothing of it", undefined, undefined, "Bearer"],
    ["it is not wanted", ["ES256"], false, "Bearer"],
  ] as const)("is made or not: %s", async (_what, algorithms, dpop, tokenType) => {
    await using server: TestServer = await startServer(() => metadata(server, algorithms));
    const options = { url: server.url, ...(dpop === undefined ? {} : { dpop }) };
    const { http } = await connect(options, around, undefined);
    expect(http.tokenType).toBe(tokenType);
  });
  test("that was asked for of a broker without is an error", async () => {
    await using server: TestServer = await startServer(() => metadata(server, ["RS256"]));
    await expect(connect({ url: server.url, dpop: true }, around, undefined)).rejects.toMatchObject(
      { code: "not_a_broker", where: "dpop" },
    );
  });
});

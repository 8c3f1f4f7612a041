import { once } from "node:events";
import { createServer } from "node:http";
import { describe, expect, it } from "vitest";
import { createTestTrustDomain } from "@mayfly/testkit";
import { systemClock } from "@mayfly/host";
import { driveLoad, troubles } from "./drive-load.ts";
import { openTally } from "./load-tally.ts";

/** Answers each request the same, at once. */
async function serve(status: number, headers: Record<string, string>, body: object) {
  const server = createServer((request, response) => {
    request.resume().once("end", () => {
      response.writeHead(status, headers).end(JSON.stringify(body));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it does not listen");
  return {
    url: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const TOKEN = { access_token: "t" };
const trust = createTestTrustDomain({ clock: systemClock, audience: "https://bench.test" });
const SHORT = { trust, clients: 2, seconds: 1, warmSeconds: 0, role: null } as const;

describe("a round of load", () => {
  it("fails when the requests that were made ahead are spent long before its end", async () => {
    await using server = await serve(200, {}, TOKEN);
    // One request for two minutes.
    const long = { ...SHORT, url: server.url, seconds: 120, rateMax: 1 / 120 };
    await expect(driveLoad(long)).rejects.toThrow(/the 1 requests that were made ahead .* spent/);
    const open = driveLoad({ ...long, rate: 50 });
    await expect(open).rejects.toThrow("the 1 requests that were made ahead (rateMax) are spent");
  });
  it("needs none made ahead where a request costs nothing to make", async () => {
    await using server = await serve(200, {}, TOKEN);
    const flow = "oidc-provider";
    const result = await driveLoad({ ...SHORT, url: server.url, flow, rateMax: 1 });
    expect(result.okInAll).toBeGreaterThan(2);
    expect(troubles(result)).toEqual([]);
  });
  it("tells what those that were refused were told, and how late they were sent", async () => {
    const busy = { error: "temporarily_unavailable", error_description: "Too many.", trace: "1" };
    await using server = await serve(503, { "retry-after": "1" }, busy);
    const result = await driveLoad({ ...SHORT, url: server.url, rateMax: 50 });
    expect(result.refused).toBeGreaterThan(0);
    const [trouble, ...others] = troubles(result);
    expect(others).toEqual([]);
    expect(trouble).toMatch(
      /^\d+ were refused: \d+ × Too many\. \(requests came up to \d+ ms late\)$/,
    );
  });
});

describe("a measured time that ends early", () => {
  const ANSWER = {
    status: 200,
    text: "",
    isRefusal: false,
    credential: () => null,
    token: () => null,
  };
  it("has the rate of the time until then", () => {
    const now = performance.now();
    // Half of 200 s is over.
    const tally = openTally(now - 100_000, now + 100_000);
    for (let n = 0; n < 500; n++) tally.answered(now - 1, ANSWER);
    tally.endEarly("spent");
    const { perSecond } = tally.result();
    expect(perSecond).toBeLessThanOrEqual(5);
    expect(perSecond).toBeGreaterThan(2.5);
  });
  it("is none when hardly anything was measured", () => {
    const now = performance.now();
    const tally = openTally(now - 1000, now + 3_600_000);
    expect(() => tally.endEarly("spent")).toThrow(
      /^spent, 3\d+\.\d s before the end of the round$/,
    );
  });
});

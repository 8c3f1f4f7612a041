import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { problem } from "./__fixtures__/broker-answers.ts";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";
import type { Io } from "./index.ts";

const PREVIEW = "POST /v1/trust/ci/preview";
const PUT = "PUT /v1/trust/ci";
const preview = (wrong: string | null) => ({
  name: "ci",
  kind: "oidc",
  config: { issuer: "https://ci.test" },
  issuer: "https://ci.test",
  audience: "https://mayfly.test",
  attributes: [
    { tag: "repository_id", claim: "repository_id", stability: "immutable", optional: false },
    { tag: "mutable.environment", claim: "environment", stability: "mutable", optional: true },
  ],
  requirements: ['typ is "Bearer"'],
  once: true,
  traps: ["Any repository gets tokens."],
  policy: 'permit (principal, action, resource) when { principal.trust_root == "ci" };',
  look: {
    source: "https://ci.test",
    fetched: true,
    keys: wrong === null ? [{ kid: "k1", algorithms: ["RS256"] }] : [],
    max_age_seconds: 600,
    problem: wrong,
  },
});

let broker: TestBroker;
let url: string;
beforeEach(async () => {
  broker = new TestBroker();
  url = await broker.start();
  broker.answers.set(PREVIEW, { body: preview(null) });
  broker.answers.set(PUT, { status: 201, body: { result: "created", name: "ci", revision: 1 } });
});
afterEach(() => broker.stop());
const run = (line: string, more: Partial<Io> = {}): Promise<Ran> => runAgainst(url, line, more);
const calls = (): readonly string[] => broker.requests.map(({ call }) => call);

describe("trust add", () => {
  test("shows keys, attributes with their stability, a policy and the traps, then registers", async () => {
    const { code, out } = await run("trust add ci --preset github_actions --yes");
    expect(code).toBe(0);
    for (const text of [
      "k1 (RS256)",
      "repository_id",
      "mutable.environment",
      "mutable, may be absent",
      "each token once",
      'principal.trust_root == "ci"',
      "Any repository gets tokens.",
    ]) {
      expect(out).toContain(text);
    }
    expect(calls()).toEqual([PREVIEW, PUT]);
    const config = { preset: "github_actions" };
    expect(broker.requests.map(({ body }) => body)).toEqual([
      { kind: "oidc", config },
      { kind: "oidc", config },
    ]);
    expect(broker.preconditions).toEqual(["", "none *"]);
  });

  test("registers nothing without a yes, or where its tokens could not be verified", async () => {
    const asked = await run("trust add ci --preset github_actions", {
      interactive: true,
      ask: async () => "n",
    });
    expect(asked.code).toBe(2);
    expect(asked.err).toContain("https://ci.test");
    expect((await run("trust add ci --preset github_actions")).code).toBe(2);
    broker.answers.set(PREVIEW, { body: preview("the discovery document is of another issuer") });
    const wrong = await run("trust add ci --preset github_actions --yes");
    expect([wrong.code, wrong.out]).toEqual([1, expect.stringContaining("of another issuer")]);
    expect(calls()).toEqual([PREVIEW, PREVIEW, PREVIEW]);
  });

  test("with --json is one record, of what was seen and what was done", async () => {
    const { out } = await run("trust add ci --preset github_actions --yes --json");
    expect(JSON.parse(out)).toEqual({ result: "created", name: "ci", preview: preview(null) });
    broker.answers.set(PREVIEW, { body: preview("no") });
    const refused = await run("trust add ci --preset github_actions --yes --json");
    expect(JSON.parse(refused.out)).toMatchObject({ result: "refused", preview: preview("no") });
  });

  test("takes what an issuer without a preset needs, and refuses what is none of it", async () => {
    const line =
      "trust add ci --issuer https://ci.test --audience api --attribute team=t:immutable " +
      "--attribute env=/a.b/c --unsafe-allow-private-addresses --yes";
    expect((await run(line)).code).toBe(0);
    expect(broker.requests[0]?.body).toEqual({
      kind: "oidc",
      config: {
        issuer: "https://ci.test",
        audience: "api",
        attributes: {
          team: { claim: "t", stability: "immutable" },
          env: { claim: "/a.b/c", stability: "mutable" },
        },
        unsafe_allow_private_addresses: true,
      },
    });
    expect((await run("trust add ci --yes")).code).toBe(2);
    expect((await run("trust add ci --issuer https://ci.test --attribute team --yes")).code).toBe(
      2,
    );
  });

  test("says what the broker says of a configuration that it does not take", async () => {
    broker.answers.set(PREVIEW, problem(422, "config_invalid"));
    const { code } = await run("trust add ci --preset github_actions --yes");
    expect(code).toBe(4);
    expect(calls()).toEqual([PREVIEW]);
  });
});

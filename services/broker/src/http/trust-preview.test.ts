import { describe, expect, it } from "vitest";
import { createTestSigningKey } from "@mayfly/testkit";
import { createBrokerBench } from "../testing/broker-bench.ts";
import { at, listAt } from "../testing/token-form.ts";

const PATH = "/v1/trust/ci/preview";
const jwks = { keys: [createTestSigningKey("k1", "RS256").publicJwk] };
const input = (config: Readonly<Record<string, unknown>>): Record<string, unknown> => ({
  kind: "oidc",
  config: { jwks, ...config },
});

describe("POST /v1/trust/{name}/preview", () => {
  it("says what policies may ask, and registers nothing", async () => {
    const bench = await createBrokerBench();
    const before = listAt(await bench.admin("GET", "/v1/trust"), "items").length;
    const answer = await bench.admin("POST", PATH, input({ preset: "github_actions" }));
    expect(answer.status).toBe(200);
    const attributes = listAt(answer, "attributes");
    expect(attributes).toContainEqual({
      tag: "repository_id",
      claim: "repository_id",
      stability: "immutable",
      optional: false,
    });
    expect(attributes).toContainEqual({
      tag: "mutable.environment",
      claim: "environment",
      stability: "mutable",
      optional: true,
    });
    expect(at(answer, "once")).toBe(true);
    expect(at(answer, "look", "problem")).toBe(null);
    expect(at(answer, "policy")).toContain('principal.getTag("repository_id")');
    expect(at(answer, "policy")).toContain('principal.trust_root == "ci"');
    expect(listAt(await bench.admin("GET", "/v1/trust"), "items")).toHaveLength(before);
  });

  it("has the SPIFFE ID in the policy where the issuer vouches for a trust domain", async () => {
    const bench = await createBrokerBench();
    const config = { preset: "spire_oidc", issuer: "https://o.test", trust_domain: "x.test" };
    const answer = await bench.admin("POST", PATH, input(config));
    expect(at(answer, "policy")).toContain('principal.subject == "spiffe://x.test/');
  });

  it("refuses as registering does, by the place in the configuration", async () => {
    const bench = await createBrokerBench();
    const answer = await bench.admin(
      "POST",
      PATH,
      input({ preset: "entra", issuer: "https://x.test" }),
    );
    expect(answer.status).toBe(422);
    expect(at(answer, "where")).toBe("config.issuer");
  });

  it("is for administrators alone", async () => {
    const bench = await createBrokerBench();
    const token = bench.identities.svid("bot");
    const body = input({ preset: "github_actions" });
    expect((await bench.call("POST", PATH, { token, body })).status).toBe(403);
    expect((await bench.call("POST", PATH, { body })).status).toBe(401);
  });
});

import { beforeEach, describe, expect, it } from "vitest";
import { NO_TERMS, parseBackendId } from "@mayfly/spec";
import type { Answer, BrokerBench } from "../testing/broker-bench.ts";
import { AUDIENCE, CONFIG, createTokenBench } from "../testing/token-api.ts";
import { at, textAt } from "../testing/token-form.ts";

let bench: BrokerBench;
beforeEach(async () => {
  bench = await createTokenBench();
});
const put = (id: string, ...audiences: string[]): Promise<Answer> =>
  bench.admin("PUT", `/v1/backends/${id}`, { type: "jwt", config: { audiences } });

describe("an audience", () => {
  it("of one backend is no other's, and the refusal names whose it is", async () => {
    const taken = await put("second-api", "https://mine.test", AUDIENCE);
    expect([taken.status, at(taken, "code")]).toEqual([422, "check_failed"]);
    expect(at(taken, "problems")).toMatchObject([{ code: "audience_of_another_backend" }]);
    expect(textAt(taken, "detail")).toContain(`${AUDIENCE} is one of backend orders-api`);
    await bench.admin("POST", "/v1/backends/orders-api/disable", {});
    expect((await put("second-api", AUDIENCE)).status).toBe(422);
    const planned = await bench.admin("POST", "/v1/plan", {
      backend: { backend: "second-api", type: "jwt", config: { audiences: [AUDIENCE] } },
    });
    expect(planned.text).toContain("audience_of_another_backend");
  });
  it("is one backend's also where two are registered for it at once", async () => {
    const both = await Promise.all(
      ["left-api", "right-api"].map((id) => put(id, "https://contested.test")),
    );
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 422]);
  });
  it("that a backend gave up is another's to take", async () => {
    expect((await put("first-api", "https://one.test", "https://two.test")).status).toBe(201);
    expect((await put("next-api", "https://two.test")).status).toBe(422);
    expect((await put("first-api", "https://one.test")).status).toBe(200);
    expect((await put("next-api", "https://two.test")).status).toBe(201);
  });
  it("that a backend will have given up by then is planned as another's", async () => {
    expect((await put("first-api", "https://one.test", "https://two.test")).status).toBe(201);
    const backend = {
      backend: "next-api",
      type: "jwt",
      config: { audiences: ["https://two.test"] },
    };
    const becomes = async (before: unknown): Promise<unknown> => {
      const planned = await bench.admin("POST", "/v1/plan", { backend, before });
      return at(planned, "objects", 0, "result");
    };
    const left = { backend: "first-api", config: { audiences: ["https://one.test"] } };
    expect(await becomes([left])).toBe("created");
    for (const before of [
      [],
      [{ ...left, config: { audiences: ["https://two.test"] } }],
      [{ ...left, config: { audiences: [] } }],
      [{ ...left, backend: "unknown-api" }],
    ]) {
      expect(await becomes(before)).toBe("refused");
    }
    // It is a plan: until the one has given it up, the other does not get it.
    expect((await put("next-api", "https://two.test")).status).toBe(422);
  });
  it("is compared with those of a backend that a newer broker registered, and hinders nobody", async () => {
    const { backends } = await bench.ledger.catalog.snapshot();
    const orders = backends.find(({ id }) => id === "orders-api")!;
    const describedConfig = { audiences: ["https://newer.test"], member_of_the_next_version: 1 };
    const newer = { ...orders, id: parseBackendId("newer-api", "id"), describedConfig };
    await bench.ledger.catalog.putBackend(newer, { kind: "system", name: "broker" }, NO_TERMS);
    expect((await put("mine-api", "https://mine.test")).status).toBe(201);
    const taken = await put("second-api", "https://newer.test");
    expect([taken.status, at(taken, "code")]).toEqual([422, "check_failed"]);
  });
  it.each([
    "https://orders.acme.test/",
    "https://ORDERS.acme.test",
    "HTTPS://orders.acme.test:443",
    "https://orders.acme.test/./",
  ])("that differs from another one by its spelling alone is refused: %s", async (near) => {
    const refused = await put("second-api", near);
    expect([refused.status, at(refused, "code")]).toEqual([422, "check_failed"]);
    expect(at(refused, "problems")).toMatchObject([{ code: "audience_spelled_like_another" }]);
    expect(textAt(refused, "detail")).toContain(`from ${AUDIENCE} of backend orders-api`);
    const within = await put("first-api", "https://mine.test", `${near}x`, `${near}X`);
    expect(within.text).toContain("audience_spelled_like_another");
    // As the API compares it, another path or query is another audience.
    const other = ["https://orders.acme.test/v2", "https://orders.acme.test/?tenant=1"];
    expect((await put("second-api", ...other)).status).toBe(201);
  });
  it("that is spelled like one that it had before hinders no other change, and is told by a test", async () => {
    const { backends } = await bench.ledger.catalog.snapshot();
    const orders = backends.find(({ id }) => id === "orders-api")!;
    const near = `${AUDIENCE}/`;
    const describedConfig = { audiences: [near] };
    const twin = { ...orders, id: parseBackendId("twin-api", "id"), describedConfig };
    await bench.ledger.catalog.putBackend(twin, { kind: "system", name: "broker" }, NO_TERMS);
    const config = { ...CONFIG, verifier_leeway_seconds: 10 };
    const changed = await bench.admin("PUT", "/v1/backends/orders-api", { type: "jwt", config });
    expect(changed.status).toBe(200);
    const tested = await bench.admin("POST", "/v1/backends/orders-api/test", {});
    expect(tested.text).toContain("audience_spelled_like_another");
    expect(tested.text).toContain("twin-api");
  });
  it("that two have had since before hinders no other change, and is told by a test", async () => {
    const { backends } = await bench.ledger.catalog.snapshot();
    const orders = backends.find(({ id }) => id === "orders-api")!;
    const twin = { ...orders, id: parseBackendId("twin-api", "id") };
    await bench.ledger.catalog.putBackend(twin, { kind: "system", name: "broker" }, NO_TERMS);
    const config = { ...CONFIG, verifier_leeway_seconds: 10 };
    const changed = await bench.admin("PUT", "/v1/backends/orders-api", { type: "jwt", config });
    expect(changed.status).toBe(200);
    const tested = await bench.admin("POST", "/v1/backends/orders-api/test", {});
    expect(tested.text).toContain("audience_of_another_backend");
    expect(tested.text).toContain("twin-api");
  });
});

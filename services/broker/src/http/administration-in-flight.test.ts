import { describe, expect, it } from "vitest";
import type { Catalog } from "@mayfly/spec";
import { createBrokerBench, type Answer, type BrokerBench } from "../testing/broker-bench.ts";
import { BACKEND_PASSWORD, READER } from "../testing/registered.ts";
import { OIDC_ISSUER } from "../testing/test-identities.ts";
import { at, exchange, opened, textAt } from "../testing/token-form.ts";

/*
 * What is decided from and what is changed are the same version of the catalogue: whatever others
 * do between an administrator's request and its effect, it is as if they had done it before.
 */

const POLICIES = `
@id("platform-manages-tests")
permit (principal, action in Action::"manage", resource is Role)
when { principal.trust_root == "login" && resource.environment == "test" };
@id("platform-registers")
permit (principal, action == Action::"register", resource)
when { principal.trust_root == "login" && principal.hasTag("groups:platform") }
unless { resource is Role };
`;

async function setUp(policies = POLICIES) {
  const bench = await createBrokerBench();
  const trust = {
    kind: "oidc",
    config: {
      issuer: OIDC_ISSUER,
      jwks: { keys: [bench.identities.oidcKey.publicJwk] },
      administrators: true,
      memberships: { groups: { claim: "groups", of: ["platform"], stability: "immutable" } },
    },
  };
  expect((await bench.admin("PUT", "/v1/trust/login", trust)).status).toBe(200);
  const sources = [{ name: "a.cedar", text: policies }];
  expect((await bench.admin("PUT", "/v1/policies", { sources })).status).toBe(200);
  const token = (): string => bench.identities.oidc("paula", { claims: { groups: ["platform"] } });
  const paula = (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> =>
    bench.call(method, path, {
      token: token(),
      headers,
      ...(body === undefined ? {} : { body }),
    });
  return { bench, trust, token, paula };
}

/** Does `meanwhile` after the decision, right before the first change that `name` would make. */
function rightBefore<Name extends "putBackend" | "putRole" | "putTrustRoot" | "setRoleEnabled">(
  bench: BrokerBench,
  name: Name,
  meanwhile: () => Promise<unknown>,
): void {
  const catalog: Pick<Catalog, Name> = bench.ledger.catalog;
  const change = catalog[name];
  Object.defineProperty(catalog, name, {
    configurable: true,
    value: async (...args: readonly unknown[]) => {
      Object.defineProperty(catalog, name, { configurable: true, value: change });
      await meanwhile();
      const answer: unknown = await Reflect.apply(change, catalog, args);
      return answer;
    },
  });
}

const ofRole = (environment: string, more: Readonly<Record<string, unknown>> = {}) => ({
  groups: ["app_reader"],
  data_class: "internal",
  reversibility: "read_only",
  environment,
  ...more,
});
const backend = (more: Readonly<Record<string, unknown>> = {}) => ({
  type: "fake",
  config: { address: "orders.elsewhere", password: BACKEND_PASSWORD },
  ...more,
});

describe("between the decision and the change", () => {
  it("a role becomes one that its author may not change: it is not changed", async () => {
    for (const headers of [{}, { "If-Match": "*" }, { "If-Match": '"1", "2", "3"' }]) {
      const { bench, paula } = await setUp();
      rightBefore(bench, "putRole", () =>
        bench.admin("PUT", `/v1/roles/${READER}`, ofRole("prod")),
      );
      const answer = await paula(
        "PUT",
        `/v1/roles/${READER}`,
        ofRole("test", { groups: ["app_writer"] }),
        headers,
      );
      expect([answer.status, textAt(answer, "code")]).toEqual([403, "denied"]);
      const now = await bench.admin("GET", `/v1/roles/${READER}`);
      expect(now.body).toMatchObject({ environment: "prod", groups: ["app_reader"] });
    }
  });

  it("a role becomes one that its author may not switch: it is not switched", async () => {
    const { bench, paula } = await setUp();
    rightBefore(bench, "setRoleEnabled", () =>
      bench.admin("PUT", `/v1/roles/${READER}`, ofRole("prod")),
    );
    expect((await paula("POST", `/v1/roles/${READER}/disable`)).status).toBe(403);
    expect(at(await bench.admin("GET", `/v1/roles/${READER}`), "enabled")).toBe(true);
  });

  it("the author's policies or trust root go: nothing is changed", async () => {
    for (const [method, path, body] of [
      ["PUT", "/v1/policies", { sources: [{ name: "a.cedar", text: "" }] }],
      ["POST", "/v1/trust/login/disable", undefined],
    ] as const) {
      const { bench, paula } = await setUp();
      rightBefore(bench, "putRole", () => bench.admin(method, path, body));
      const answer = await paula("PUT", "/v1/roles/orders-db/new", ofRole("test"));
      expect([path, answer.status]).toEqual([path, 403]);
      expect((await bench.admin("GET", "/v1/roles/orders-db/new")).status).toBe(404);
    }
  });

  it("somebody disables a backend: changing its configuration does not enable it again", async () => {
    const { bench } = await setUp();
    rightBefore(bench, "putBackend", () => bench.admin("POST", "/v1/backends/orders-db/disable"));
    const answer = await bench.admin("PUT", "/v1/backends/orders-db", backend());
    expect([answer.status, at(answer, "backend", "enabled")]).toEqual([200, false]);
    expect(at(await bench.admin("GET", "/v1/backends/orders-db"), "config", "address")).toBe(
      "orders.elsewhere",
    );
  });

  it("somebody disables a trust root: changing it does not enable it again", async () => {
    const { bench, trust } = await setUp();
    rightBefore(bench, "putTrustRoot", () => bench.admin("POST", "/v1/trust/login/disable"));
    const config = { ...trust.config, initiators: true };
    const answer = await bench.admin("PUT", "/v1/trust/login", { ...trust, config });
    expect(answer.status).toBe(200);
    expect((await bench.admin("GET", "/v1/trust/login")).body).toMatchObject({
      enabled: false,
      config: { initiators: true },
    });
  });

  it("others change other things: it is made, and its event names the last decision", async () => {
    const { bench, paula } = await setUp();
    rightBefore(bench, "putRole", () =>
      bench.admin("PUT", "/v1/roles/orders-db/other", ofRole("test")),
    );
    expect((await paula("PUT", "/v1/roles/orders-db/new", ofRole("test"))).status).toBe(201);
    const events = bench.ledger.inspect.events();
    const put = events.at(-1)!;
    const decided = events.filter(({ actor }) => actor.name === `${OIDC_ISSUER}#paula`);
    expect(put.kind).toBe("role.put");
    expect(decided.map(({ decisionId }) => decisionId)).toContain(put.decisionId);
    expect(put.decisionId).toBe(decided.at(-2)?.decisionId);
  });
});

describe("many changes at once", () => {
  it("of different things are all made, each with a decision of its own", async () => {
    const { bench, paula } = await setUp();
    const made = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        paula("PUT", `/v1/roles/orders-db/new-${n}`, ofRole("test")),
      ),
    );
    expect(made.map(({ status }) => status)).toEqual(Array.from({ length: 30 }, () => 201));
    const puts = bench.ledger.inspect
      .events()
      .filter(({ kind, decisionId }) => kind === "role.put" && decisionId !== null);
    expect(new Set(puts.map(({ decisionId }) => decisionId)).size).toBe(30);
  });
});

describe("a request whose body is long on its way", () => {
  const REQUESTS = [
    ["PUT", "/v1/roles/orders-db/new", ofRole("test")],
    ["POST", "/v1/tasks/kill", { selector: { trust_domain: "acme.test" } }],
  ] as const;

  it("does nothing once its author's trust root is disabled, or no longer of administrators", async () => {
    for (const isDisabled of [true, false]) {
      for (const [method, path, input] of REQUESTS) {
        const { bench, trust, token } = await setUp(`${POLICIES}
          @id("stops")
          permit (principal, action in Action::"stop", resource)
          when { principal.trust_root == "login" };
          @id("agents") permit (principal, action in Action::"credential", resource);`);
        const task = opened(await exchange(bench, bench.identities.svid("bot")));
        const config = { ...trust.config, administrators: false };
        const response = await bench.app.request(`${bench.issuer}${path}`, {
          method,
          headers: { authorization: `Bearer ${token()}`, "content-type": "application/json" },
          body: bodyAfter(JSON.stringify(input), () =>
            isDisabled
              ? bench.admin("POST", "/v1/trust/login/disable")
              : bench.admin("PUT", "/v1/trust/login", { ...trust, config }),
          ),
          duplex: "half",
        });
        expect([path, response.status]).toEqual([path, 403]);
        expect((await bench.admin("GET", "/v1/roles/orders-db/new")).status).toBe(404);
        expect(at(await bench.admin("GET", `/v1/tasks/${task.id}`), "state")).toBe("active");
      }
    }
  });
});

const bodyAfter = (text: string, meanwhile: () => Promise<unknown>): ReadableStream<Uint8Array> =>
  new ReadableStream(
    {
      pull: async (controller) => {
        await meanwhile();
        controller.enqueue(new TextEncoder().encode(text));
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );

describe("who may register and not switch", () => {
  const SWITCHES = `${POLICIES}
    @id("switches-are-not-theirs")
    forbid (principal, action in [Action::"enable", Action::"disable"], resource);`;

  it("neither enables nor disables by registering, nor plans to", async () => {
    const { bench, trust, paula } = await setUp(SWITCHES);
    await bench.admin("POST", `/v1/roles/${READER}/disable`);
    await bench.admin("POST", "/v1/trust/ci/disable");
    const ci = (await bench.admin("GET", "/v1/trust/ci")).body;
    const config = at({ body: ci } as Answer, "config");
    for (const [path, body] of [
      [`/v1/roles/${READER}`, ofRole("test", { enabled: true })],
      ["/v1/roles/orders-db/writer", ofRole("test", { enabled: false })],
      ["/v1/backends/orders-db", backend({ enabled: false })],
      ["/v1/trust/ci", { kind: "oidc", enabled: true, config }],
      ["/v1/trust/login", { ...trust, enabled: false }],
    ] as const) {
      const answer = await paula("PUT", path, body);
      expect([path, answer.status, textAt(answer, "code")]).toEqual([path, 403, "denied"]);
    }
    const plan = await paula("POST", "/v1/plan", {
      trust: [{ trust: "ci", kind: "oidc", enabled: true, config }],
      backend: { backend: "orders-db", ...backend({ enabled: false }) },
      roles: [],
    });
    expect([at(plan, "objects", 0, "result"), at(plan, "objects", 1, "result")]).toEqual([
      "refused",
      "refused",
    ]);
  });

  it("changes what is disabled, and registers what is new as disabled", async () => {
    const { bench, paula } = await setUp(SWITCHES);
    await bench.admin("POST", `/v1/roles/${READER}/disable`);
    const changed = await paula("PUT", `/v1/roles/${READER}`, ofRole("test"));
    expect([changed.status, at(changed, "role", "enabled")]).toEqual([200, false]);
    const made = await paula("PUT", "/v1/roles/orders-db/new", ofRole("test", { enabled: false }));
    expect([made.status, at(made, "role", "enabled")]).toEqual([201, false]);
  });
});

import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { BACKEND_PASSWORD, READER } from "../testing/registered.ts";
import { OIDC_ISSUER } from "../testing/test-identities.ts";
import { at, exchange, opened, textAt } from "../testing/token-form.ts";

const STAFF_POLICIES = `
@id("agents-read-orders")
permit (principal, action in Action::"credential", resource == Role::"orders-db/reader");
@id("platform-manages")
permit (principal, action in Action::"manage", resource)
when { principal.trust_root == "login" && principal.hasTag("groups:platform") };
@id("platform-reads-the-catalog")
permit (principal, action == Action::"read", resource in Catalog::"catalog")
when { principal.trust_root == "login" && principal.hasTag("groups:platform") };
@id("nobody-makes-administrators")
@description("Trust roots of administrators are the bootstrap administrator's.")
forbid (principal, action in Action::"manage", resource is TrustRoot)
when { resource.administrators };
@id("security-looks")
permit (principal, action in Action::"inspect", resource)
when { principal.trust_root == "login" && principal.hasTag("groups:security") };
@id("security-stops")
permit (principal, action in Action::"stop", resource)
when { principal.trust_root == "login" && principal.hasTag("groups:security") };
`;

/** Staff log in at the issuer of people, and bring their groups. */
async function setUp(policies = STAFF_POLICIES) {
  const bench = await createBrokerBench();
  const trust = {
    kind: "oidc",
    config: {
      issuer: OIDC_ISSUER,
      jwks: { keys: [bench.identities.oidcKey.publicJwk] },
      administrators: true,
      memberships: {
        groups: { claim: "groups", of: ["platform", "security"], stability: "immutable" },
      },
    },
  };
  expect((await bench.admin("PUT", "/v1/trust/login", trust)).status).toBe(200);
  await activate(bench, policies);
  const staff =
    (name: string, ...groups: readonly string[]) =>
    (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
      bench.call(method, path, {
        token: bench.identities.oidc(name, { claims: { groups } }),
        headers,
        ...(body === undefined ? {} : { body }),
      });
  return {
    bench,
    trust,
    paula: staff("paula", "everybody", "platform"),
    simon: staff("simon", "security"),
    nobody: staff("nobody"),
  };
}

const activate = async (bench: BrokerBench, text: string): Promise<void> => {
  const answer = await bench.admin("PUT", "/v1/policies", { sources: [{ name: "a.cedar", text }] });
  expect([answer.status, answer.text]).toEqual([200, expect.stringContaining("digest")]);
};

const role = (change: Readonly<Record<string, unknown>> = {}): unknown => ({
  groups: ["app_reader"],
  data_class: "internal",
  reversibility: "read_only",
  environment: "test",
  ...change,
});
const backend = {
  type: "fake",
  config: { address: "orders.internal", password: BACKEND_PASSWORD },
};
const ROLE = "/v1/roles/orders-db/auditor";

/** Every administrative request there is; `{…}` is filled in. */
const EVERYTHING: readonly (readonly [method: string, path: string, body?: unknown])[] = [
  ["GET", "/v1/backends"],
  ["GET", "/v1/backends/orders-db"],
  ["GET", "/v1/backends/none"],
  ["PUT", "/v1/backends/orders-db", backend],
  ["PUT", "/v1/backends/new-db", backend],
  ["POST", "/v1/backends/orders-db/test"],
  ["POST", "/v1/backends/orders-db/disable"],
  ["POST", "/v1/backends/orders-db/enable"],
  ["DELETE", "/v1/backends/orders-db"],
  ["GET", "/v1/roles"],
  ["GET", `/v1/roles/${READER}`],
  ["PUT", ROLE, role()],
  ["POST", `/v1/roles/${READER}/test`],
  ["POST", `/v1/roles/${READER}/disable`],
  ["POST", `/v1/roles/${READER}/enable`],
  ["DELETE", `/v1/roles/${READER}`],
  ["GET", "/v1/trust"],
  ["GET", "/v1/trust/ci"],
  [
    "PUT",
    "/v1/trust/other",
    { kind: "spiffe", config: { trust_domain: "o.test", bundle: { keys: [] } } },
  ],
  ["POST", "/v1/trust/ci/test"],
  ["POST", "/v1/trust/ci/disable"],
  ["POST", "/v1/trust/ci/enable"],
  ["DELETE", "/v1/trust/ci"],
  ["GET", "/v1/policies"],
  ["GET", "/v1/policies/history"],
  ["GET", `/v1/policies/${"0".repeat(64)}`],
  ["PUT", "/v1/policies", { sources: [{ name: "a.cedar", text: "" }] }],
  ["POST", "/v1/policies/rollback", { digest: "0".repeat(64) }],
  ["GET", "/v1/tasks"],
  ["GET", "/v1/tasks/{task}"],
  ["GET", "/v1/tasks/{task}/chain"],
  ["POST", "/v1/tasks/{task}/kill"],
  ["POST", "/v1/tasks/{task}/cancel"],
  ["GET", "/v1/leases"],
  ["GET", "/v1/leases/{lease}"],
  ["POST", "/v1/leases/{lease}/end"],
  ["POST", "/v1/leases/end", { selector: { backend: "orders-db" } }],
  ["POST", "/v1/tasks/kill", { selector: { backend: "orders-db" } }],
  ["GET", "/v1/events"],
  ["GET", "/v1/ledger/counts"],
  ["POST", "/v1/ledger/verify"],
  ["GET", "/v1/ledger/export"],
  ["GET", "/v1/sealing"],
  ["POST", "/v1/signing-keys/rotate"],
];

describe("an administrator by OIDC", () => {
  it("may do nothing at all without a permitting policy, and each denial is on record", async () => {
    const { bench, nobody } = await setUp();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    const before = await bench.ledger.catalog.version();
    for (const [method, path, body] of EVERYTHING) {
      const filled = path.replace("{task}", task.id).replace("{lease}", task.leases[0] ?? "");
      const events = bench.ledger.inspect.events().length;
      const answer = await nobody(method, filled, body);
      expect([method, path, answer.status, answer.text]).toEqual([
        method,
        path,
        403,
        expect.stringContaining('"denied"'),
      ]);
      if (path.startsWith("/v1/sealing") || path.startsWith("/v1/signing-keys")) continue;
      const written = bench.ledger.inspect.events().slice(events);
      expect(written.map(({ kind }) => kind)).toEqual(["decision.denied"]);
      expect(written[0]).toMatchObject({
        actor: { name: `${OIDC_ISSUER}#nobody` },
        decisionId: textAt(answer, "decision"),
      });
    }
    expect(await bench.ledger.catalog.version()).toBe(before);
    expect(bench.ledger.inspect.leases().map(({ state }) => state)).toEqual(["active"]);
  });

  it("is not made by any permit for credentials, however wide", async () => {
    const wide = '@id("all") permit (principal, action, resource);';
    const { bench, nobody } = await setUp(wide);
    for (const [method, path] of [
      ["GET", "/v1/backends"],
      ["GET", "/v1/events"],
      ["DELETE", "/v1/roles/orders-db/reader"],
    ] as const) {
      expect((await nobody(method, path)).status).toBe(403);
    }
    expect((await exchange(bench, bench.identities.svid("bot"))).status).toBe(200);
  });

  it("changes what policies permit, and the event names who, what, and by which decision", async () => {
    const { bench, paula } = await setUp();
    const answer = await paula("PUT", ROLE, role());
    expect(answer.status).toBe(201);
    const event = bench.ledger.inspect.events().at(-1)!;
    expect(event).toMatchObject({
      kind: "role.put",
      actor: { kind: "administrator", name: `${OIDC_ISSUER}#paula` },
      data: { revision: 1, before: null },
    });
    const decision = await bench.admin("GET", `/v1/decisions/${event.decisionId}`);
    expect(decision.body).toMatchObject({
      effect: "permit",
      determining_policies: ["platform-manages"],
      request: {
        action: "register",
        resource: { kind: "role", name: "orders-db/auditor", environment: "test" },
      },
    });
  });

  it("of one team does not do what the other may", async () => {
    const { bench, paula, simon } = await setUp();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    expect((await paula("POST", `/v1/tasks/${task.id}/kill`)).status).toBe(403);
    expect((await paula("GET", "/v1/events")).status).toBe(403);
    expect((await simon("PUT", ROLE, role())).status).toBe(403);
    expect(
      (await simon("PUT", "/v1/policies", { sources: [{ name: "a", text: "" }] })).status,
    ).toBe(403);
    expect((await simon("GET", "/v1/events?limit=1000")).status).toBe(200);
    const killed = await simon("POST", `/v1/tasks/${task.id}/kill`, { reason: "odd" });
    expect(killed.status).toBe(200);
    const requested = bench.ledger.inspect
      .events()
      .find(({ kind }) => kind === "task.end_requested");
    expect(requested).toMatchObject({ actor: { name: `${OIDC_ISSUER}#simon` } });
    expect(requested?.decisionId).not.toBeNull();
  });

  it("never makes other administrators where a forbid says so, by creating or by taking over", async () => {
    const { trust, paula } = await setUp();
    const other = { ...trust, config: { ...trust.config, issuer: "https://evil.test" } };
    expect((await paula("PUT", "/v1/trust/evil", other)).status).toBe(403);
    const tame = { kind: "oidc", config: { issuer: OIDC_ISSUER, jwks: trust.config.jwks } };
    const taken = await paula("PUT", "/v1/trust/login", tame);
    expect(taken.status).toBe(403);
    expect(textAt(taken, "detail")).toContain("nobody-makes-administrators");
    expect((await paula("POST", "/v1/trust/login/disable")).status).toBe(403);
    expect((await paula("DELETE", "/v1/trust/login")).status).toBe(403);
    expect((await paula("POST", "/v1/trust/ci/disable")).status).toBe(200);
  });

  it("reads in lists what it may read, and of the rest not the names", async () => {
    const { bench, paula } = await setUp(`
      @id("reads-one") permit (principal, action == Action::"read", resource == Role::"${READER}");
    `);
    const answer = await paula("GET", "/v1/roles");
    expect(answer.status).toBe(200);
    expect(at(answer, "items", 0, "role")).toBe(READER);
    expect(answer.text).not.toContain("writer");
    expect((await paula("GET", "/v1/backends")).status).toBe(200);
    const [there, absent] = [
      await paula("GET", "/v1/roles/orders-db/writer"),
      await paula("GET", "/v1/roles/orders-db/nothing"),
    ];
    expect([there.status, absent.status]).toEqual([403, 403]);
    expect(bench.log).toBeDefined();
  });

  it("reads in lists what its token of this moment permits, however often it asked before", async () => {
    const { bench, paula, nobody } = await setUp(`
      @id("reads-tests")
      permit (principal, action == Action::"read", resource is Role)
      when { resource.environment == "test" && principal.hasTag("groups:platform") };
    `);
    const again = bench.identities.oidc("paula", { claims: { groups: [] } });
    for (let time = 0; time < 3; time++) {
      const before = await paula("GET", "/v1/roles");
      expect([before.status, before.text.includes(READER)]).toEqual([200, true]);
      expect((await bench.call("GET", "/v1/roles", { token: again })).status).toBe(403);
      expect((await nobody("GET", "/v1/roles")).status).toBe(403);
      const moved = role({ environment: "prod" });
      expect((await bench.admin("PUT", `/v1/roles/${READER}`, moved)).status).toBe(200);
      const after = await paula("GET", "/v1/roles");
      expect([after.status, after.text.includes(READER)]).toEqual([200, false]);
      expect((await bench.admin("PUT", `/v1/roles/${READER}`, role())).status).toBe(200);
    }
  });

  it("learns by no denial what there is, and by which facts, unless it may read that", async () => {
    const { bench, paula, simon } = await setUp(`${STAFF_POLICIES}
      @id("not-that-confidential")
      forbid (principal, action == Action::"read", resource is Role)
      when { resource.data_class == "confidential" };
    `);
    for (const [method, there, absent] of [
      ["POST", "/v1/trust/login/disable", "/v1/trust/none/disable"],
      ["DELETE", "/v1/trust/login", "/v1/trust/none"],
      ["GET", `/v1/roles/${READER}`, "/v1/roles/orders-db/none"],
    ] as const) {
      const words = [];
      for (const path of [there, absent]) {
        const body = method === "POST" ? {} : undefined;
        const asked = bench.identities.oidc("nobody");
        const answer = await bench.call(method, path, {
          token: asked,
          ...(body === undefined ? {} : { body }),
        });
        const text = answer.text
          .replaceAll(textAt(answer, "decision"), "D")
          .replaceAll(textAt(answer, "trace"), "T");
        words.push(text.replaceAll("login", "none").replaceAll(READER, "orders-db/none"));
      }
      expect(words[0]).toBe(words[1]);
    }
    const known = await paula("POST", "/v1/trust/login/disable");
    expect(textAt(known, "detail")).toContain("nobody-makes-administrators");
    const decision = textAt(await simon("GET", `/v1/roles/${READER}`), "decision");
    expect((await bench.admin("GET", `/v1/decisions/${decision}`)).body).toMatchObject({
      why: "forbidden",
      determining_policies: ["not-that-confidential"],
    });
  });

  it("who loses the group, the policy or the trust root is out at the next call", async () => {
    const { bench, trust, paula, nobody } = await setUp();
    expect((await paula("GET", "/v1/roles")).status).toBe(200);
    expect((await nobody("GET", "/v1/roles")).status).toBe(403);
    const config = { ...trust.config, administrators: false };
    await bench.admin("PUT", "/v1/trust/login", { ...trust, config });
    const refused = await paula("GET", "/v1/roles");
    expect([refused.status, textAt(refused, "detail")]).toEqual([
      403,
      "Only an administrator may do this.",
    ]);
    await bench.admin("PUT", "/v1/trust/login", trust);
    await activate(bench, '@id("none") permit (principal, action == Action::"issue", resource);');
    expect((await paula("GET", "/v1/roles")).status).toBe(403);
    expect((await bench.admin("GET", "/v1/roles")).status).toBe(200);
  });

  it("is told by a plan of policies under which it could activate no others", async () => {
    const activates = 'permit (principal, action == Action::"activate", resource);';
    const { bench, paula } = await setUp(`${STAFF_POLICIES} @id("activates") ${activates}`);
    const planBy = async (text: string, call: typeof paula) => {
      const policies = { sources: [{ name: "a.cedar", text }] };
      const { body } = await call("POST", "/v1/plan", { policies });
      return (body as { objects: readonly unknown[] }).objects;
    };
    expect(await planBy(STAFF_POLICIES, paula)).toMatchObject([{ locks_out_caller: true }]);
    const any = '@id("any") permit (principal, action == Action::"activate", resource);';
    expect(await planBy(any, paula)).toMatchObject([{ locks_out_caller: false }]);
    const admin: typeof paula = (method, path, body) => bench.admin(method, path, body);
    expect(await planBy(STAFF_POLICIES, admin)).toMatchObject([{ locks_out_caller: false }]);
  });

  it("ends its own tasks without asking policy, whatever policy says of administration", async () => {
    const never = '@id("never") forbid (principal, action in Action::"administer", resource);';
    const { bench } = await setUp(`${never}
      @id("agents") permit (principal, action in Action::"credential", resource);`);
    const token = bench.identities.oidc("simon", { claims: { groups: ["security"] } });
    const task = opened(await exchange(bench, token));
    const ended = await bench.call("POST", `/v1/tasks/${task.id}/complete`, { token });
    expect([ended.status, at(ended, "task", "state")]).toEqual([200, "completed"]);
  });

  it("sees no secret of a configuration, whatever it may do", async () => {
    const { bench } = await setUp(`
      @id("everything") permit (principal, action in Action::"administer", resource);
    `);
    const token = (): string => bench.identities.oidc("root");
    const texts: string[] = [];
    for (const [method, path, body] of EVERYTHING) {
      if (path.includes("{") || method === "DELETE") continue;
      texts.push((await bench.call(method, path, { token: token(), body })).text);
    }
    expect(texts.join("\n")).toContain("[secret]");
    expect(texts.join("\n")).not.toContain(BACKEND_PASSWORD);
    expect(JSON.stringify(bench.ledger.inspect.events())).not.toContain(BACKEND_PASSWORD);
    bench.log.assertNoSecret(BACKEND_PASSWORD);
  });
});

describe("no administrative request is permitted", () => {
  it("unless a policy permits that action on that thing to that group", async () => {
    const { bench, paula, simon, nobody } = await setUp();
    const callers = { paula, simon, nobody };
    const permits = [
      { action: "read", on: "Backend", group: "platform" },
      { action: "test", on: "Backend", group: "platform" },
      { action: "disable", on: "Role", group: "security" },
      { action: "verify", on: "Ledger", group: "security" },
    ] as const;
    const asks = [
      { action: "read", on: "Backend", call: ["GET", "/v1/backends/orders-db"] },
      { action: "test", on: "Backend", call: ["POST", "/v1/backends/orders-db/test"] },
      { action: "disable", on: "Role", call: ["POST", `/v1/roles/${READER}/disable`] },
      { action: "verify", on: "Ledger", call: ["POST", "/v1/ledger/verify"] },
    ] as const;
    await fc.assert(
      fc.asyncProperty(fc.subarray([...permits]), async (some) => {
        const text = some.map(
          ({ action, on, group }, n) => `@id("p${n}")
            permit (principal, action == Action::"${action}", resource is ${on})
            when { principal.hasTag("groups:${group}") };`,
        );
        const issue = '@id("issue") permit (principal, action == Action::"issue", resource);';
        await activate(bench, [...text, issue].join("\n"));
        for (const ask of asks) {
          for (const [name, call] of Object.entries(callers)) {
            const group = { paula: "platform", simon: "security", nobody: "" }[name];
            const may = some.some(
              (one) => one.action === ask.action && one.on === ask.on && one.group === group,
            );
            const [method, path] = ask.call;
            expect([name, path, (await call(method, path)).status]).toEqual([
              name,
              path,
              may ? 200 : 403,
            ]);
          }
        }
      }),
      { numRuns: 16 },
    );
  });
});

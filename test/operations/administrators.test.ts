import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { startTestOidcIssuer, type TestOidcIssuer } from "@mayfly/testkit";
import {
  accepted,
  at,
  BACKEND,
  grantedOf,
  listAt,
  READER,
  startInstallation,
  textAt,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

/** Administrators by OIDC where it counts: real processes, a real issuer, a real ledger. */
let mayfly: Installation;
let one: RunningBroker;
let other: RunningBroker;
let login: TestOidcIssuer;

const AGENTS = `
@id("agents-use-orders")
permit (principal, action in Action::"credential", resource)
when { principal.trust_root == "system.test" };
`;
const STAFF = `
@id("platform-manages")
permit (principal, action in Action::"manage", resource)
when { principal.trust_root == "login" && principal.hasTag("groups:platform") };
@id("staff-reads-the-catalog")
permit (principal, action == Action::"read", resource in Catalog::"catalog")
when { principal.trust_root == "login" };
@id("security-looks-and-stops")
permit (principal, action in [Action::"inspect", Action::"stop"], resource)
when { principal.trust_root == "login" && principal.hasTag("groups:security") };
`;

beforeAll(async () => {
  mayfly = await startInstallation();
  one = await mayfly.startBroker();
  other = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(one);
  login = await startTestOidcIssuer({ clock: systemClock, audience: mayfly.issuer });
  const config = {
    issuer: login.issuer,
    unsafe_allow_private_addresses: true,
    administrators: true,
    memberships: {
      groups: { claim: "groups", of: ["platform", "security"], stability: "immutable" },
    },
  };
  accepted(await one.api.admin("PUT", "/v1/trust/login", { kind: "oidc", config }), "trust");
  await activate(AGENTS + STAFF);
});
afterAll(async () => {
  await login?.close();
  await mayfly?.[Symbol.asyncDispose]();
});

const activate = async (text: string): Promise<void> => {
  const sources = [{ name: "all.cedar", text }];
  accepted(await one.api.admin("PUT", "/v1/policies", { sources }), "policies");
};
const tokenOf = (sub: string, ...groups: readonly string[]): string =>
  login.token({ claims: { sub, groups } });
const paula = (): string => tokenOf("paula", "everybody", "platform");
const simon = (): string => tokenOf("simon", "security");

const role = (description: string) => ({
  description,
  member_of: "app_reader",
  owner: "app_owner",
  ttl_max: "10m",
  data_class: "internal",
  reversibility: "read_only",
  environment: "test",
});

async function put(
  broker: RunningBroker,
  token: string,
  path: string,
  body: object,
  headers: Readonly<Record<string, string>>,
): Promise<Reply> {
  const response = await fetch(`${broker.api.url}${path}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  const parsed: unknown = JSON.parse(text);
  return { status: response.status, headers: response.headers, text, body: parsed };
}

describe("administrators by OIDC", () => {
  test("trust test fetches discovery and keys, and says what it saw", async () => {
    const seen = await one.api.call(paula(), "POST", "/v1/trust/login/test", {});
    expect(seen.body).toMatchObject({
      source: login.issuer,
      fetched: true,
      keys: [{ kid: login.key.kid }],
      problem: null,
    });
    login.claimIssuer("https://evil.test");
    const deceived = await one.api.call(paula(), "POST", "/v1/trust/login/test", {});
    login.claimIssuer(login.issuer);
    expect(textAt(deceived, "problem")).toContain("another issuer");
  });

  test("many who change different things at once, at two brokers, all get through", async () => {
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, n) =>
        put(n % 2 === 0 ? one : other, paula(), `/v1/roles/${BACKEND}/at-once-${n}`, role("x"), {}),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 16 }, () => 201));
  });

  test("of two who change one revision at once, at two brokers, one is told of the other", async () => {
    const path = `/v1/roles/${BACKEND}/auditor`;
    const created = await put(one, paula(), path, role("first"), { "if-none-match": "*" });
    expect(created.status).toBe(201);
    const etag = created.headers.get("etag") ?? "";
    const [a, b] = await Promise.all([
      put(one, paula(), path, role("by one"), { "if-match": etag }),
      put(other, tokenOf("petra", "platform"), path, role("by other"), { "if-match": etag }),
    ]);
    const winner = a.status === 200 ? a : b;
    const loser = a.status === 200 ? b : a;
    expect([winner.status, loser.status]).toEqual([200, 412]);
    expect(loser.body).toMatchObject({ code: "precondition_failed", current_tag: "2" });
    const now = await other.api.call(paula(), "GET", path);
    expect(textAt(now, "description")).toBe(textAt(winner, "role", "description"));
    const again = await put(one, paula(), path, role("x"), { "if-none-match": "*" });
    expect(again.status).toBe(412);
  });

  test("each change is in the log with who and by which decision, and the log verifies", async () => {
    const page = await one.api.call(simon(), "GET", "/v1/events?kind=role.put&limit=1000");
    const changes = listAt(page, "items").filter((item) => JSON.stringify(item).includes("paula"));
    expect(changes[0]).toMatchObject({
      actor: { kind: "administrator", name: `${login.issuer}#paula` },
      data: { revision: 1, before: null },
    });
    const decision = String(Reflect.get(Object(changes[0]), "decision"));
    const read = await one.api.call(simon(), "GET", `/v1/decisions/${decision}`);
    expect(read.body).toMatchObject({
      effect: "permit",
      determining_policies: ["platform-manages"],
      request: { action: "register" },
    });
    await until("the log holds every event", 20_000, async () => {
      const counts = await one.api.call(simon(), "GET", "/v1/ledger/counts");
      return at(counts, "events_pending") === 0;
    });
    const verified = await one.api.call(simon(), "POST", "/v1/ledger/verify", {});
    expect(verified.body).toMatchObject({ ok: true });
    expect(verified.body).toHaveProperty("head_sha256");
  });

  test("what one team may not, it is denied with a decision that the other can read", async () => {
    const denied = await other.api.call(paula(), "GET", "/v1/events");
    expect([denied.status, at(denied, "code")]).toEqual([403, "denied"]);
    const why = await one.api.call(simon(), "GET", `/v1/decisions/${textAt(denied, "decision")}`);
    expect(why.body).toMatchObject({
      effect: "deny",
      why: "no_permit",
      request: { action: "read" },
    });
    const nobody = await one.api.call(tokenOf("nobody"), "DELETE", `/v1/roles/${READER}`);
    expect(nobody.status).toBe(403);
    expect((await one.api.call(mayfly.svid("bot"), "GET", "/v1/roles")).status).toBe(403);
  });

  test("security kills what an agent holds, and platform cannot", async () => {
    const details = {
      type: "mayfly-task",
      goal: "Reconcile",
      deadline: "5m",
      credentials: [{ role: READER }],
    };
    const granted = grantedOf(await one.api.exchange({ subject: mayfly.svid("bot"), details }));
    const path = `/v1/tasks/${granted.taskId}/kill`;
    expect((await one.api.call(paula(), "POST", path, {})).status).toBe(403);
    const killed = await other.api.call(simon(), "POST", path, { reason: "odd", wait: "20s" });
    expect(killed.body).toMatchObject({
      task: { state: "killed" },
      leases: [{ state: "ended", outcome: "revoked" }],
    });
  });

  test("a disabled role issues no more, what it has issued can be ended, and nothing shows a secret", async () => {
    const details = {
      type: "mayfly-task",
      goal: "Reconcile",
      deadline: "5m",
      credentials: [{ role: READER }],
    };
    const granted = grantedOf(await one.api.exchange({ subject: mayfly.svid("bot"), details }));
    const disable = `/v1/roles/${READER}/disable`;
    accepted(await one.api.call(simon(), "POST", disable, {}), "disable");
    const refused = await other.api.exchange({ subject: mayfly.svid("bot"), details });
    expect([refused.status, at(refused, "code")]).toEqual([503, "issuing_paused"]);
    const ended = await other.api.call(
      granted.taskToken,
      "POST",
      `/v1/tasks/${granted.taskId}/complete`,
      {
        wait: "20s",
      },
    );
    expect(ended.body).toMatchObject({ leases: [{ state: "ended" }] });
    accepted(await one.api.call(paula(), "POST", `/v1/roles/${READER}/enable`, {}), "enable");
    const tested = await one.api.call(paula(), "POST", `/v1/roles/${READER}/test`, {});
    expect(tested.body).toMatchObject({
      check: { problems: [] },
      sample: { kind: "planned", grant: { member_of: ["app_reader"] } },
    });
    const texts = await Promise.all(
      [`/v1/backends`, `/v1/backends/${BACKEND}`, "/v1/roles", "/v1/trust", "/v1/policies"].map(
        async (path) => (await one.api.call(paula(), "GET", path)).text,
      ),
    );
    expect(texts.join("\n")).toContain("[secret]");
    expect(texts.join("\n")).not.toContain(mayfly.orders.password);
    const shown = await one.api.call(paula(), "GET", `/v1/backends/${BACKEND}`);
    expect(at(shown, "last_check", "result")).toBe("sound");
  });

  test("who is locked out at one broker is out at the other at the next call, and in mid-request", async () => {
    const path = `/v1/roles/${BACKEND}/late`;
    expect((await other.api.call(paula(), "GET", "/v1/roles")).status).toBe(200);
    const body = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          accepted(await one.api.admin("POST", "/v1/trust/login/disable", {}), "disable");
          controller.enqueue(new TextEncoder().encode(JSON.stringify(role("late"))));
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const late = await fetch(`${other.api.url}${path}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${paula()}`, "content-type": "application/json" },
      body,
      duplex: "half",
      signal: AbortSignal.timeout(30_000),
    });
    expect([401, 403]).toContain(late.status);
    expect((await other.api.call(paula(), "GET", "/v1/roles")).status).toBe(401);
    expect((await one.api.admin("GET", path)).status).toBe(404);
    accepted(await other.api.admin("POST", "/v1/trust/login/enable", {}), "enable");
    expect((await one.api.call(paula(), "GET", "/v1/roles")).status).toBe(200);
  });

  test("policies that lock everybody out are mended by the bootstrap administrator", async () => {
    const nobody = '@id("nobody") forbid (principal, action in Action::"administer", resource);';
    await activate(AGENTS + STAFF + nobody);
    expect((await one.api.call(paula(), "GET", "/v1/roles")).status).toBe(403);
    expect((await other.api.call(simon(), "GET", "/v1/events")).status).toBe(403);
    const history = await one.api.admin("GET", "/v1/policies/history");
    const before = textAt(history, "items", 0, "before");
    accepted(await one.api.admin("POST", "/v1/policies/rollback", { digest: before }), "rollback");
    expect((await other.api.call(simon(), "GET", "/v1/events")).status).toBe(200);
  });

  test("two who register rival trust roots at once leave one", async () => {
    const config = { issuer: "https://rival.test", jwks: { keys: [login.key.publicJwk] } };
    const replies = await Promise.all(
      [one, other, one, other].map((broker, n) =>
        put(broker, paula(), `/v1/trust/rival-${n}`, { kind: "oidc", config }, {}),
      ),
    );
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      201, 409, 409, 409,
    ]);
  });
});

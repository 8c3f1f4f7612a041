import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runMayfly, type Ran } from "../cli/run-mayfly.ts";
import {
  accepted,
  at,
  listAt,
  READER,
  startInstallation,
  textAt,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import { availableUpstreams, registrar } from "./upstreams.ts";
import { sharedPostgresLogin, trySharedPostgres } from "./upstreams/postgres-upstream.ts";
import type { CredentialData, OwnLogin, RegisteredUpstream } from "./upstreams/upstream.ts";

/**
 * One backend of each type that can run here, and one task with a lease of each: its completion
 * ends them all.
 */
const available = await availableUpstreams();
/** `orders-db` is the one of PostgreSQL; a static secret's lease ends when it is replaced. */
const upstreams = available.filter(({ type }) => !["postgres", "static"].includes(type));
const registeredHere = available.filter(({ type }) => type !== "postgres");
const roles = [READER, ...upstreams.map(({ type }) => `${type}/one`)];
/** An access token lives until it expires, which a test waits for; the others are ended before. */
const ttlOf = (role: string): string => (role === "jwt/one" ? "60s" : "5m");
const END_MS_MAX = 180_000;

let mayfly: Installation;
let broker: RunningBroker;
const registered = new Map<string, RegisteredUpstream>();
const ends = new AsyncDisposableStack();
beforeAll(async () => {
  mayfly = ends.use(await startInstallation());
  broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(broker);
  const at = registrar(mayfly, broker);
  for (const upstream of registeredHere) {
    const one = await upstream.register(at);
    ends.defer(() => one.stop());
    registered.set(upstream.type, one);
  }
});
afterAll(() => ends.disposeAsync());

const completed = async (reply: Reply): Promise<void> => {
  const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
  accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
};
const dataOf = (reply: Reply): CredentialData =>
  at(reply, "credentials", 0, "data") as CredentialData;

/** What the upstreams themselves say to who uses each credential, by type. */
async function verdicts(reply: Reply): Promise<Readonly<Record<string, string>>> {
  const said = upstreams.map(async ({ type }, nth) => {
    const data = at(reply, "credentials", nth + 1, "data") as CredentialData;
    return [type, (await registered.get(type)?.tryCredential(data)) ?? "not registered"] as const;
  });
  return Object.fromEntries(await Promise.all(said));
}
const all = (verdict: string): Readonly<Record<string, string>> =>
  Object.fromEntries(upstreams.map(({ type }) => [type, verdict]));

test(`one task holds a lease of each of ${roles.length} types, and its completion ends all of them`, async () => {
  const reply = await broker.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "look at an order, everywhere",
      ref: "everywhere",
      deadline: "10m",
      credentials: roles.map((role) => ({ role, ttl: ttlOf(role) })),
    },
  });
  expect(listAt(reply, "credentials"), reply.text).toHaveLength(roles.length);
  expect(await verdicts(reply)).toEqual(all("accepted"));
  await completed(reply);
  const outcomes = new Map<string, unknown>();
  const leaseOf = (place: number): Promise<Reply> =>
    broker.api.admin("GET", `/v1/leases/${textAt(reply, "credentials", place, "lease")}`);
  await until("every lease to have ended", END_MS_MAX, async () => {
    for (const [place, role] of roles.entries()) {
      if (outcomes.has(role)) continue;
      const outcome = at(await leaseOf(place), "outcome");
      if (outcome !== null) outcomes.set(role, outcome);
    }
    return outcomes.size === roles.length;
  });
  // An access token is accepted until it expires by who does not introspect: its end says so.
  const expected = roles.map((role) => [role, role === "jwt/one" ? "expired" : "revoked"]);
  expect(Object.fromEntries(outcomes)).toEqual(Object.fromEntries(expected));
  expect(await verdicts(reply)).toEqual(all("refused"));
});

test("a static secret is accepted after the end of its task, and its lease says that it is stuck", async () => {
  const reply = await broker.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "ask for a report",
      deadline: "10m",
      credentials: [{ role: "static/one", ttl: "40s" }],
    },
  });
  await completed(reply);
  const lease = textAt(reply, "credentials", 0, "lease");
  await until("the lease to be stuck", END_MS_MAX, async () => {
    return at(await broker.api.admin("GET", `/v1/leases/${lease}`), "state") === "stuck";
  });
  expect(await registered.get("static")?.tryCredential(dataOf(reply))).toBe("accepted");
});

describe("mayfly backend rotate", () => {
  const rotate = (backend: string): Promise<Ran> => {
    const environment = { MAYFLY_URL: broker.api.url, MAYFLY_ADMIN_TOKEN: mayfly.adminToken };
    return runMayfly(["backend", "rotate", backend], { environment });
  };
  const opened = async (backend: string): Promise<Reply> => {
    const credentials = [{ role: `${backend}/one`, ttl: "5m" }];
    const details = { type: "mayfly-task", goal: "look at an order", deadline: "10m", credentials };
    const reply = await broker.api.exchange({ subject: mayfly.svid("worker-bee"), details });
    expect(listAt(reply, "credentials"), reply.text).toHaveLength(1);
    return reply;
  };
  const outcomeOf = (reply: Reply): Promise<unknown> =>
    until(`the lease's end, ${textAt(reply, "task", "id")}`, END_MS_MAX, async () => {
      const path = `/v1/leases/${textAt(reply, "credentials", 0, "lease")}`;
      return at(await broker.api.admin("GET", path), "outcome") ?? undefined;
    });

  type Tried = OwnLogin & Pick<RegisteredUpstream, "tryCredential">;
  /** What became of the login, and of a lease that was minted before it and one that was after. */
  async function replaced({ backend, tryFirst, tryCredential }: Tried): Promise<object> {
    const verdictsOf = (...replies: readonly Reply[]) =>
      Promise.all(replies.map((reply) => tryCredential(dataOf(reply))));
    const before = await opened(backend);
    const first = await tryFirst();
    const { code, err } = await rotate(backend);
    const login = [first, await tryFirst()];
    const after = await opened(backend);
    const living = await verdictsOf(before, after);
    for (const reply of [before, after]) await completed(reply);
    const outcomes = [await outcomeOf(before), await outcomeOf(after)];
    const ended = await verdictsOf(before, after);
    return { backend, rotated: code === 0 ? "yes" : err, login, living, outcomes, ended };
  }

  test("replaces the login of each type that has one, and leases of before and after it end", async () => {
    const shared = await sharedPostgresLogin(registrar(mayfly, broker));
    const tried: Tried[] = [{ ...shared, tryCredential: trySharedPostgres }];
    for (const { ownLogin, tryCredential } of registered.values()) {
      if (ownLogin !== null) tried.push({ ...(await ownLogin()), tryCredential });
    }
    expect(await Promise.all(tried.map(replaced))).toEqual(
      tried.map(({ backend }) => ({
        backend,
        rotated: "yes",
        login: ["accepted", "refused"],
        living: ["accepted", "accepted"],
        outcomes: ["revoked", "revoked"],
        ended: ["refused", "refused"],
      })),
    );
  });

  /** Of each type without one, what there is to do in its place. */
  const INSTEAD: Readonly<Record<string, RegExp>> = {
    jwt: /no secret to log in with.*mayfly signing-key rotate --backend jwt/s,
    x509: /no secret to log in with.*mayfly signing-key rotate --backend x509/s,
    ssh: /take the old one away there.*mayfly signing-key rotate --backend ssh/s,
    webhook: /take the old one away there/,
    static: /the one that is handed out/,
  };
  test("refuses a type that has none, changes nothing, and says what to do instead", async () => {
    const without = [...registered].filter(([, { ownLogin }]) => ownLogin === null);
    const types = without.map(([type]) => type);
    const revisions = async (): Promise<readonly unknown[]> =>
      Promise.all(
        types.map(async (type) =>
          at(await broker.api.admin("GET", `/v1/backends/${type}`), "revision"),
        ),
      );
    const before = await revisions();
    const ran = await Promise.all(types.map(rotate));
    for (const [nth, { code, err }] of ran.entries()) {
      expect([code, err]).toEqual([4, expect.stringMatching(INSTEAD[types[nth] ?? ""] ?? /never/)]);
    }
    expect(await revisions()).toEqual(before);
    expect(types).toEqual(expect.arrayContaining(["jwt", "x509", "webhook", "static"]));
  });
});

import { afterAll, beforeAll, expect, test } from "vitest";
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
import type { CredentialData, RegisteredUpstream } from "./upstreams/upstream.ts";

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
  const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
  accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
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
  const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
  accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
  const lease = textAt(reply, "credentials", 0, "lease");
  await until("the lease to be stuck", END_MS_MAX, async () => {
    return at(await broker.api.admin("GET", `/v1/leases/${lease}`), "state") === "stuck";
  });
  const data = at(reply, "credentials", 0, "data") as CredentialData;
  expect(await registered.get("static")?.tryCredential(data)).toBe("accepted");
});

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

/**
 * One backend of each type that can run here, and one task with a lease of each: its completion
 * ends them all.
 */
const upstreams = await availableUpstreams();
const roles = [READER, ...upstreams.map(({ type }) => `${type}/one`)];
const END_MS_MAX = 120_000;

let mayfly: Installation;
let broker: RunningBroker;
const ends = new AsyncDisposableStack();
beforeAll(async () => {
  mayfly = ends.use(await startInstallation());
  broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(broker);
  const at = registrar(mayfly, broker);
  for (const upstream of upstreams) ends.defer(await upstream.register(at));
});
afterAll(() => ends.disposeAsync());

test(`one task holds a lease of each of ${roles.length} types, and its completion ends all of them`, async () => {
  const reply = await broker.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "look at an order, everywhere",
      ref: "everywhere",
      deadline: "10m",
      credentials: roles.map((role) => ({ role, ttl: "40s" })),
    },
  });
  expect(listAt(reply, "credentials"), reply.text).toHaveLength(roles.length);
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
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  at,
  READER,
  startInstallation,
  textAt,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import { availableServers, startSharedServers } from "./shared-servers/start-shared-servers.ts";
import type { RunningServer } from "./shared-servers/shared-server.ts";
import { registrar } from "./upstreams.ts";
import type { CredentialData, Registrar } from "./upstreams/upstream.ts";

/**
 * One task with a lease of each type, and the server of one of them down when it is completed: the
 * other leases end beside it, its own says why it does not, and ends once the server is back.
 */
const upstreams = await availableServers();
const END_MS_MAX = 120_000;

let mayfly: Installation;
let broker: RunningBroker;
let registered: Registrar;
let running: readonly RunningServer[];
const ends = new AsyncDisposableStack();
beforeAll(async () => {
  mayfly = ends.use(await startInstallation({ settings: { MAYFLY_ATTEMPTS_UNTIL_STUCK: "2" } }));
  broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(broker);
  registered = registrar(mayfly, broker);
  running = await startSharedServers(upstreams, ends);
  for (const upstream of running) await upstream.register(registered);
});
afterAll(() => ends.disposeAsync());

const typesWithServer = upstreams.filter(
  ({ server, type }) => server !== null || type === "webhook",
);
/** Types whose end is a wait: for a list or a deny to be everywhere, or for an expiry. */
const WAITING = ["x509", "jwt", "aws"];

interface Held {
  readonly type: string;
  readonly lease: string;
  readonly data: CredentialData;
}

async function openOfEach(ref: string): Promise<{ reply: Reply; held: readonly Held[] }> {
  const types = ["postgres", ...running.map(({ type }) => type)];
  const reply = await broker.api.exchange({
    subject: mayfly.svid("worker-bee"),
    details: {
      type: "mayfly-task",
      goal: "look at an order, everywhere",
      ref,
      deadline: "10m",
      credentials: types.map((type) => ({
        role: type === "postgres" ? READER : `${type}/one`,
        ttl: type === "jwt" ? "12s" : "10m",
      })),
    },
  });
  accepted(reply, ref);
  const held = types.map((type, place) => ({
    type,
    lease: textAt(reply, "credentials", place, "lease"),
    data: at(reply, "credentials", place, "data") as CredentialData,
  }));
  return { reply, held };
}

const leaseOf = ({ lease }: Held): Promise<Reply> => broker.api.admin("GET", `/v1/leases/${lease}`);
const hasEnded = async (held: Held): Promise<boolean> =>
  at(await leaseOf(held), "state") === "ended";
const allEnded = (what: string, held: readonly Held[]): Promise<unknown> =>
  until(what, END_MS_MAX, async () => (await Promise.all(held.map(hasEnded))).every(Boolean));

describe("one backend that is down", () => {
  const late: Held[] = [];

  test.each(typesWithServer.map(({ type }) => type))(
    "%s: the others end beside it; its lease is stuck and says why, and ends when it is back",
    async (type) => {
      const { reply, held } = await openOfEach(`down-${type}`);
      const upstream = running.find((one) => one.type === type);
      const mine = held.find((one) => one.type === type);
      if (upstream === undefined || upstream.proxy === null || mine === undefined) {
        throw new Error(`no server of ${type}`);
      }
      expect(await upstream.accepts(mine.data, registered)).toBe(true);
      await upstream.proxy.refuse();
      try {
        const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
        accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
        const others = held.filter((one) => one !== mine);
        late.push(...others.filter(({ type: other }) => WAITING.includes(other)));
        const soon = others.filter(({ type: other }) => !WAITING.includes(other));
        await allEnded(`the leases beside ${type} to end`, soon);
        const stuck = await until(`the lease of ${type} to be stuck`, END_MS_MAX, async () => {
          const lease = await leaseOf(mine);
          return at(lease, "state") === "stuck" && lease;
        });
        expect(at(stuck, "exposure")).toMatchObject({ kind: "unknown", reason: "stuck" });
        expect(textAt(stuck, "last_error")).not.toBe("");
        expect(await upstream.accepts(mine.data, registered)).toBe(true);
        for (const one of soon) expect(at(await leaseOf(one), "outcome")).toBe("revoked");
      } finally {
        await upstream.proxy.listen();
      }
      await allEnded(`the lease of ${type} to end`, [mine]);
      expect(at(await leaseOf(mine), "outcome")).toBe("revoked");
      expect(await upstream.accepts(mine.data, registered)).toBe(false);
    },
  );

  test("those that are only to wait for a list or an expiry have ended too", async () => {
    expect(late.length).toBeGreaterThan(0);
    await allEnded("the leases that wait", late);
  });
});

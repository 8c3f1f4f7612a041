import { parseId, uuidOfId, type LeaseId } from "@mayfly/spec";
import type { TcpFaultProxy } from "@mayfly/testkit";
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
import { isWhole } from "./every-type-scene.ts";
import { availableServers, startSharedServers } from "./shared-servers/start-shared-servers.ts";
import type { RunningServer } from "./shared-servers/shared-server.ts";
import { registrar } from "./upstreams.ts";
import type { CredentialData, Registrar } from "./upstreams/upstream.ts";

/**
 * One task with a lease of each type, and the server of one of them down when it is completed: the
 * other leases end beside it, its own says why it does not, and ends once the server is back. How
 * long anything takes is no part of it: what failed once at the one that is down is tried again
 * only when the test says so, and by then the others have ended.
 */
const upstreams = await availableServers();
const END_MS_MAX = 120_000;

let mayfly: Installation;
let broker: RunningBroker;
let registered: Registrar;
let running: readonly RunningServer[];
const ends = new AsyncDisposableStack();
beforeAll(async () => {
  // On a busy machine an end takes its seconds: what is given up for that alone says nothing.
  const settings = { MAYFLY_ATTEMPTS_UNTIL_STUCK: "2", MAYFLY_CLAIM_SECONDS: "15" };
  mayfly = ends.use(await startInstallation({ settings }));
  broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(broker);
  registered = registrar(mayfly, broker);
  running = await startSharedServers(upstreams, ends);
  for (const upstream of running) await upstream.register(registered);
  await patientLeases();
});
afterAll(() => ends.disposeAsync());

const typesWithServer = upstreams.filter(
  ({ server, type }) => server !== null || type === "webhook",
);
/** Whose greeting is waited for, and whose answer; `BACKEND_TEST_KILLS=all` hangs every one. */
const HANGING = isWhole ? typesWithServer.map(({ type }) => type) : ["mysql", "webhook"];
const hanging = typesWithServer.filter(({ type }) => HANGING.includes(type));
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

/** From now on those of `test_patient` wait an hour after each failure, whatever Mayfly says. */
async function patientLeases(): Promise<void> {
  await mayfly.ledger.unsafe(`
    CREATE TABLE public.test_patient (lease_id uuid PRIMARY KEY);
    CREATE FUNCTION public.test_patience() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF EXISTS (SELECT FROM public.test_patient WHERE lease_id = NEW.id) THEN
        NEW.due_at := now() + interval '1 hour';
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER test_patience BEFORE UPDATE ON mayfly.leases FOR EACH ROW
      WHEN (NEW.attempts > OLD.attempts) EXECUTE FUNCTION public.test_patience();`);
}
const makePatient = ({ lease }: Held): Promise<unknown> =>
  mayfly.ledger`INSERT INTO public.test_patient VALUES (${uuidOfId(leaseId(lease))})`;
/** Once, if it has failed and waits; not what waits for its end to count. */
const letItTry = ({ lease }: Held): Promise<unknown> =>
  mayfly.ledger`
    UPDATE mayfly.leases SET due_at = now()
    WHERE id = ${uuidOfId(leaseId(lease))} AND due_at > now() + interval '30 minutes'`;
async function attemptsOf({ lease }: Held): Promise<number> {
  const [row] = await mayfly.ledger<{ attempts: number }[]>`
    SELECT attempts FROM mayfly.leases WHERE id = ${uuidOfId(leaseId(lease))}`;
  return row?.attempts ?? Number.NaN;
}
const leaseId = (text: string): LeaseId => parseId("lease", text, "lease");

const leaseOf = ({ lease }: Held): Promise<Reply> => broker.api.admin("GET", `/v1/leases/${lease}`);
const hasEnded = async (held: Held): Promise<boolean> =>
  at(await leaseOf(held), "state") === "ended";
const allEnded = (what: string, held: readonly Held[]): Promise<unknown> =>
  until(what, END_MS_MAX, async () => (await Promise.all(held.map(hasEnded))).every(Boolean));

describe("one backend that is down", () => {
  const late: Held[] = [];

  /** Completes a task with a lease of each type while the one type is down; returns its lease. */
  async function endBeside(type: string, how: string, down: (proxy: TcpFaultProxy) => unknown) {
    const { reply, held } = await openOfEach(`${how}-${type}`);
    const upstream = running.find((one) => one.type === type);
    const mine = held.find((one) => one.type === type);
    if (upstream === undefined || upstream.proxy === null || mine === undefined) {
      throw new Error(`no server of ${type}`);
    }
    expect(await upstream.accepts(mine.data, registered)).toBe(true);
    await makePatient(mine);
    await down(upstream.proxy);
    const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
    accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
    const others = held.filter((one) => one !== mine);
    late.push(...others.filter(({ type: other }) => WAITING.includes(other)));
    const soon = others.filter(({ type: other }) => !WAITING.includes(other));
    await allEnded(`the leases beside ${type} to end`, soon);
    for (const one of soon) expect(at(await leaseOf(one), "outcome")).toBe("revoked");
    // Nobody let it try again.
    expect(await attemptsOf(mine)).toBeLessThanOrEqual(1);
    expect(at(await leaseOf(mine), "state")).toBe("ending");
    expect(await upstream.accepts(mine.data, registered)).toBe(true);
    return { upstream, proxy: upstream.proxy, mine };
  }

  /** The server is back. */
  async function endsAfterAll(upstream: RunningServer, mine: Held): Promise<unknown> {
    await until(`the lease of ${mine.type} to end`, END_MS_MAX, async () => {
      if (await hasEnded(mine)) return true;
      await letItTry(mine);
      return false;
    });
    expect(await upstream.accepts(mine.data, registered)).toBe(false);
    return at(await leaseOf(mine), "outcome");
  }

  test.each(typesWithServer.map(({ type }) => type))(
    "%s refuses: the others end before it is tried again; its lease is stuck, says why, and ends later",
    async (type) => {
      const refuse = (proxy: TcpFaultProxy): Promise<void> => proxy.refuse();
      const { upstream, proxy, mine } = await endBeside(type, "refuses", refuse);
      try {
        const stuck = await until(`the lease of ${type} to be stuck`, END_MS_MAX, async () => {
          const lease = await leaseOf(mine);
          if (at(lease, "state") === "stuck") return lease;
          await letItTry(mine);
          return false;
        });
        expect(at(stuck, "exposure")).toMatchObject({ kind: "unknown", reason: "stuck" });
        expect(textAt(stuck, "last_error")).not.toBe("");
        expect(await upstream.accepts(mine.data, registered)).toBe(true);
      } finally {
        await proxy.listen();
      }
      expect(await endsAfterAll(upstream, mine)).toBe("revoked");
    },
  );

  test.each(hanging.map(({ type }) => type))(
    "%s hangs: the others end while its first call is not answered, and it ends later",
    async (type) => {
      const hang = (proxy: TcpFaultProxy): void => proxy.hang();
      const { upstream, proxy, mine } = await endBeside(type, "hangs", hang);
      proxy.reset();
      expect(await endsAfterAll(upstream, mine)).toBe("revoked");
    },
  );

  test("those that are only to wait for a list or an expiry have ended too", async () => {
    expect(late.length).toBeGreaterThan(0);
    await allEnded("the leases that wait", late);
  });
});

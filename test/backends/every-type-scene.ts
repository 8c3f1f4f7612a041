import { diedBySigkill, SETTLE_MS_MAX } from "../crash/scene.ts";
import {
  ConnectionLost,
  READER,
  startInstallation,
  until,
  type Environment,
  type Exchange,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import type { RunningServer } from "./shared-servers/shared-server.ts";
import { registrar } from "./upstreams.ts";
import type { Registrar } from "./upstreams/upstream.ts";

/** `BACKEND_TEST_KILLS=all` for every window, and for Vault, whose lost mints take two minutes. */
export const isWhole = process.env["BACKEND_TEST_KILLS"] === "all";
/** OpenBao may go on with a request for 100 s: nobody looks for what came of a lost one before. */
export const RECOVERED_MS_MAX = isWhole ? 360_000 : SETTLE_MS_MAX;
/**
 * Of a broker that is to die with a mint of each type under way: they all have to get as far within
 * it, and what is left of them is looked for once it has passed.
 */
export const ISSUE_OF_ALL: Environment = { MAYFLY_ISSUE_SECONDS: isWhole ? "45" : "25" };
/**
 * Of whoever ends one of each type: an end that a busy machine cuts off has destroyed what was
 * there, perhaps, and the next one finds nothing and says so.
 */
export const CLAIM: Environment = { MAYFLY_CLAIM_SECONDS: "25" };
const POSTGRES = "postgres";

/** One lease as its upstream and its ledger know it. */
export interface Mint {
  readonly type: string;
  readonly name: string;
  readonly state: string;
  readonly outcome: string | null;
}

/** An installation with a backend of each of the types, beside others on the same servers. */
export interface EveryType extends AsyncDisposable {
  readonly mayfly: Installation;
  readonly survivor: RunningBroker;
  readonly registered: Registrar;
  /** `postgres` is the first. */
  readonly types: readonly string[];
  /** Opens a task for each of the types through the broker; `ref` is of all of them. */
  openEach(
    broker: RunningBroker,
    ref: string,
    more?: { readonly of?: readonly string[]; readonly end?: End },
  ): Promise<readonly PromiseSettledResult<Reply>[]>;
  /** The same, through a broker that is killed before it answers any of them. */
  dieOpening(broker: RunningBroker, ref: string, end?: End): Promise<void>;
  mintsOf(ref: string): Promise<readonly Mint[]>;
  /** From now on nobody has been heard of in the tasks for longer than they may be idle. */
  neglect(ref: string): Promise<void>;
  /** Waits until they all have ended, so many of them. */
  settled(ref: string, count?: number): Promise<readonly Mint[]>;
  /** Types in whose upstream itself a credential of these mints can be used now. */
  liveTypes(mints: readonly Mint[]): Promise<readonly string[]>;
}

/** Types of which a credential that nobody holds is nowhere: it is made by Mayfly itself. */
export const SELF_CONTAINED = ["jwt", "x509", "ssh"];

export async function startEveryType(
  running: readonly RunningServer[],
  settings: Environment = {},
): Promise<EveryType> {
  await using started = new AsyncDisposableStack();
  const mayfly = started.use(await startInstallation({ settings }));
  const survivor = await mayfly.startBroker();
  await mayfly.register(survivor);
  const registered = registrar(mayfly, survivor);
  for (const upstream of running) await upstream.register(registered);
  const types = [POSTGRES, ...running.map(({ type }) => type)];
  const refOf = (ref: string, type: string): string => `${ref}-${type}`;
  const openEach: EveryType["openEach"] = (broker, ref, { of = types, end = "lost" } = {}) =>
    Promise.allSettled(
      of.map((type) => broker.api.exchange(opening(mayfly, type, refOf(ref, type), end))),
    );
  const mintsOf: EveryType["mintsOf"] = async (ref) => {
    const all = types.map((type) =>
      mayfly.ledger<Omit<Mint, "type">[]>`
      SELECT l.plan ->> 'externalName' AS name, l.state, l.outcome
      FROM mayfly.leases l JOIN mayfly.tasks t ON t.id = l.task_id
      WHERE t.ref = ${refOf(ref, type)}`.then((rows) => rows.map((row) => ({ type, ...row }))),
    );
    return (await Promise.all(all)).flat();
  };
  const liveNames = async (): Promise<ReadonlySet<string>> => {
    const roles = await mayfly.customer<{ name: string }[]>`
      SELECT rolname AS name FROM pg_authid WHERE rolcanlogin`;
    const others = await Promise.all(running.map((one) => one.liveNames(mayfly.id)));
    return new Set([...roles.map(({ name }) => name), ...others.flat()]);
  };
  const all = started.move();
  return {
    mayfly,
    survivor,
    registered,
    types,
    openEach,
    dieOpening: async (broker, ref, end = "lost") => {
      const answers = await openEach(broker, ref, { end });
      const living = answers.filter(
        (one) => one.status === "fulfilled" || !(one.reason instanceof ConnectionLost),
      );
      if (living.length > 0) throw new Error(`it was to die, and ${JSON.stringify(living)}`);
      await diedBySigkill(broker);
    },
    mintsOf,
    neglect: async (ref) => {
      await mayfly.ledger`
        UPDATE mayfly.tasks SET last_heartbeat_at = now() - interval '1 hour'
        WHERE ref = ANY (${types.map((type) => refOf(ref, type))})`;
    },
    settled: async (ref, count = types.length) => {
      let mints: readonly Mint[] = [];
      try {
        return await until(`all leases of ${ref} to end`, RECOVERED_MS_MAX, async () => {
          mints = await mintsOf(ref);
          return mints.length === count && mints.every(({ state }) => state === "ended") && mints;
        });
      } catch (cause) {
        throw new Error(`of ${count} leases there are ${JSON.stringify(mints)}`, { cause });
      }
    },
    liveTypes: async (mints) => {
      const live = await liveNames();
      return mints.filter(({ name }) => isAmong(live, name)).map(({ type }) => type);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Some upstreams say more after the name. */
const isAmong = (live: ReadonlySet<string>, name: string): boolean =>
  live.has(name) || [...live].some((one) => one.startsWith(`${name}-`));

const opening = (mayfly: Installation, type: string, ref: string, end: End): Exchange => ({
  subject: mayfly.svid("worker-bee"),
  details: {
    type: "mayfly-task",
    goal: "be there when it crashes",
    ref,
    deadline: "10m",
    // One that is to be idle is made so: by itself it would be while others are still opened.
    idle_timeout: end === "lost" ? "25s" : "9m",
    credentials: [{ role: roleOf(type), ttl: ttlOf(type, end) }],
  },
});

/** By recovery, which may not say that it ends before it expires; or by what revokes it. */
type End = "lost" | "revoked";

/**
 * What an upstream alone ends lives so briefly that a test can wait for it; what is on a list of
 * Mayfly's does too where nobody may put it there, and else outlives the lists of before.
 */
export const ttlOf = (type: string, end: End): string => {
  if (end === "lost") return SELF_CONTAINED.includes(type) ? "40s" : "5m";
  // Somebody still looks whether it lives after a process has died.
  return type === "jwt" ? "60s" : "5m";
};

export const roleOf = (type: string): string => (type === POSTGRES ? READER : `${type}/one`);

import {
  durationSeconds,
  Secret,
  type BackendHost,
  type CallContext,
  type Probe,
  type SelfCheck,
} from "@mayfly/spec";
import postgres from "postgres";
import { z } from "zod";
import {
  beyondRole,
  definePooledBackend,
  leaseRules,
  ownSecret,
  serverHost,
  serverPort,
  slotPool,
  upstreamFailures,
  waitMs,
  type SlotTenancy,
} from "../index.ts";
import {
  cutBlock,
  endBlock,
  generationOf,
  HAS_GONE_ON,
  mintBlock,
  PAST_DEADLINE,
} from "./pooled-roles-sql.ts";

/**
 * A pooled type over real roles of a PostgreSQL that the platform team made: the smallest that the
 * kit's tests can run, with everything that a real one needs. Without TLS, so for tests alone.
 */
const CONFIG = z.strictObject({
  host: serverHost().describe("Where the server listens."),
  port: serverPort().describe("Its port."),
  database: z.string().min(1).max(63).describe("Any database of it."),
  username: z.string().min(1).max(63).describe("The broker's login."),
  password: ownSecret().describe("Its password."),
  slots: slotPool(z.string().regex(/^[a-z_][a-z0-9_]{0,62}$/), "Roles of the server"),
});
type Config = z.infer<typeof CONFIG>;

const connections = () => z.int().min(1).max(100);
const SHAPE = {
  role: z.strictObject({ connections: connections().describe("The most sessions at once.") }),
  params: z.strictObject({ connections: connections().optional().describe("Fewer of them.") }),
  grant: z.strictObject({ connections: connections() }),
};
const leases = leaseRules({
  ...SHAPE,
  grantFor: (role, params) => {
    const { connections: asked = role.connections } = params;
    if (asked <= role.connections) return { connections: asked };
    throw beyondRole("connections", `the role allows ${role.connections}`);
  },
  isGrantWithin: (inner, outer) => inner.connections <= outer.connections,
});

/** Code and no more: the driver's errors have the statement, and that has the password. */
class ServerFailure extends Error {
  override readonly name = "ServerFailure";
  /** Null: no answer of the server, so that it may have happened. */
  readonly sqlstate: string | null;
  readonly isSent: boolean;
  constructor(sqlstate: string | null, isSent: boolean) {
    super(sqlstate ?? (isSent ? "no answer" : "not sent"));
    this.sqlstate = sqlstate;
    this.isSent = isSent;
  }
}

const NOT_CONNECTED = new Set(["ECONNREFUSED", "CONNECT_TIMEOUT", "ENOTFOUND"]);

function failureOf(thrown: unknown): ServerFailure {
  if (thrown instanceof ServerFailure) return thrown;
  if (thrown instanceof postgres.PostgresError) return new ServerFailure(thrown.code, true);
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  return new ServerFailure(null, !NOT_CONNECTED.has(code));
}

const failures = upstreamFailures("pooled roles", failureOf, ({ sqlstate, isSent }) => {
  if (sqlstate !== null) {
    return {
      reason: `the server refused it (${sqlstate})`,
      // Of a lease that was minted already, the first credential may live.
      effect: sqlstate === HAS_GONE_ON ? "unknown" : "none",
      retrySeconds: sqlstate === PAST_DEADLINE ? 1 : null,
      upstreamFails: false,
    };
  }
  return {
    reason: isSent ? "no answer came; it may have happened" : "the server is not reached",
    effect: isSent ? "unknown" : "none",
    retrySeconds: 1,
    upstreamFails: true,
  };
});

interface Place {
  readonly sql: postgres.Sql;
  readonly host: BackendHost;
  readonly slots: readonly string[];
}

/** An answer that is not waited for any more may still come: then something may have happened. */
async function run<T extends postgres.MaybeRow>(
  { sql }: Place,
  { signal }: CallContext,
  statement: string,
): Promise<readonly T[]> {
  const aborted = Promise.withResolvers<never>();
  const stop = (): void => aborted.reject(new ServerFailure(null, true));
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const answering = sql.unsafe<T[]>(statement).simple();
    answering.catch(() => undefined);
    return await Promise.race([answering, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
    aborted.promise.catch(() => undefined);
  }
}

interface Standing {
  readonly generation: string;
  readonly login: boolean;
  readonly sessions: number;
}

async function look(place: Place, slot: string, context: CallContext): Promise<Standing> {
  const [found] = await run<Standing>(
    place,
    context,
    `SELECT ${generationOf("r.oid")}::text AS generation, r.rolcanlogin AS login,
      (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid)::int AS sessions
    FROM pg_roles AS r WHERE r.rolname = '${slot}'`,
  );
  if (found === undefined) throw failures.unfinished(`${slot}: there is no such role`);
  return found;
}

const LOOKS_MAX = 100;
const LOOK_EVERY_MS = 50;

/** Whether the tenancy of exactly this generation was there. */
async function end(
  place: Place,
  { slot, generation }: Pick<SlotTenancy, "slot" | "generation">,
  context: CallContext,
): Promise<boolean> {
  const before = await look(place, slot, context);
  await run(place, context, endBlock(slot, generation));
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    await run(place, context, cutBlock(slot, generation));
    const { generation: stands, sessions } = await look(place, slot, context);
    if (Number(stands) > generation || sessions === 0) {
      return Number(before.generation) === generation && before.login;
    }
    await context.clock.sleep(LOOK_EVERY_MS);
  }
  throw failures.unfinished(`${slot}: its sessions do not end`);
}

async function probe(place: Place, tenancy: SlotTenancy, context: CallContext): Promise<Probe> {
  const { generation, login, sessions } = await look(place, tenancy.slot, context);
  const isIts = Number(generation) === tenancy.generation;
  return {
    verdict: isIts && (login || sessions > 0) ? "accepted" : "refused",
    looked: { generation: Number(generation), login: isIts && login, sessions },
  };
}

async function selfCheck(place: Place, context: CallContext): Promise<SelfCheck> {
  const [found] = await run<{ id: string; signals: boolean; administered: number }>(
    place,
    context,
    `SELECT (SELECT system_identifier::text FROM pg_control_system()) AS id,
      pg_has_role('pg_signal_backend', 'USAGE') AS signals,
      (SELECT count(DISTINCT r.oid) FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid
        WHERE m.member = current_user::regrole AND m.admin_option
          AND r.rolname IN (${place.slots.map((slot) => `'${slot}'`).join(", ")}))::int
        AS administered`,
  );
  if (found === undefined) throw failures.unfinished("self-check: no answer");
  const missing = place.slots.length - found.administered;
  return {
    upstreamIdentity: found.id,
    clockSkewMs: null,
    facts: { slots: place.slots.length },
    problems: [
      ...(found.signals
        ? []
        : [
            {
              code: "cannot_cut_sessions",
              what: "Sessions of a role that was ended would go on.",
              fix: "GRANT pg_signal_backend TO the broker's role;",
            },
          ]),
      ...(missing === 0
        ? []
        : [
            {
              code: "slot_not_administered",
              what: `${missing} roles of the pool are not there, or not the broker's to alter.`,
              fix: "CREATE ROLE each of them, and GRANT it to the broker's role WITH ADMIN TRUE;",
            },
          ]),
    ],
  };
}

export const pooledRoles = definePooledBackend<Config, Place>({
  type: "pooled-roles",
  capabilities: {
    expiryEnforcedBy: "login_only",
    revocation: "immediate",
    canRenew: false,
    canList: true,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(3_600),
    issueCallSecondsMax: durationSeconds(2),
    lateMint: "refused",
    credentialKind: "postgres-password",
  },
  config: CONFIG,
  leases,
  failures,
  pool: ({ slots }) => ({ slots, tokenSecondsMax: 0 }),
  open: ({ slots, ...server }, host) => ({
    slots,
    host,
    sql: postgres({
      ...server,
      max: 6,
      backoff: () => 0.02,
      connect_timeout: 5,
      fetch_types: false,
      onnotice: () => undefined,
    }),
  }),
  close: ({ sql }) => sql.end({ timeout: 1 }),
  operations: {
    issue: async (place, tenancy, plan, context) => {
      const { connections: most } = leases.grantOf(plan);
      const password = Buffer.from(place.host.random.bytes(24)).toString("base64url");
      const before = { slot: tenancy.slot, generation: tenancy.generation - 1 };
      await end(place, before, context);
      failures.refuseLate(context, "issue");
      const { issueBy } = context;
      const account = { password, expiresAt: plan.expiresAt, issueBy, connections: most };
      await run(place, context, mintBlock(tenancy, account));
      return {
        material: { username: tenancy.slot, password: Secret.of(password) },
        fingerprintOf: "password",
        expiresAt: plan.expiresAt,
      };
    },
    recover: async (place, tenancy, context) => {
      const before = await probe(place, tenancy, context);
      if (before.verdict === "accepted") await context.found(before.looked);
      const wasThere = await end(place, tenancy, context);
      const { looked, verdict } = await probe(place, tenancy, context);
      if (verdict === "accepted") return waitMs(1_000, "its sessions end");
      return { outcome: wasThere ? "destroyed" : "absent", looked };
    },
    revoke: async (place, tenancy, context) => {
      await end(place, tenancy, context);
      return { outcome: "refused" };
    },
    probe,
    list: async (place, after, context) => {
      const slots = await run<{ slot: string; mark: string }>(
        place,
        context,
        `SELECT rolname AS slot, shobj_description(oid, 'pg_authid') AS mark FROM pg_roles
        WHERE rolcanlogin AND rolname > '${after ?? ""}'
          AND rolname IN (${place.slots.map((slot) => `'${slot}'`).join(", ")})
        ORDER BY rolname LIMIT 1000`,
      );
      return { slots, next: slots.length < 1_000 ? null : (slots.at(-1)?.slot ?? null) };
    },
    selfCheck: (place, _roles, context) => selfCheck(place, context),
  },
});

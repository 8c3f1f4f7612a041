import {
  beyondRole,
  definePooledBackend,
  leaseRules,
  ownSecret,
  slotPool,
  upstreamFailures,
  waitMs,
} from "@mayfly/backend-kit";
import {
  Secret,
  durationSeconds,
  type BackendHost,
  type CallContext,
  type CredentialBackend,
} from "@mayfly/spec";
import { z } from "zod";
import type { Draw } from "./draw.ts";
import { POOL_FAULTS, type PoolFault, type PoolOperation } from "./pool-faults.ts";
import { oftenAt } from "./places.ts";
import { SlotRefusal, type SlotServer } from "./slot-server.ts";
import type { Machine, SimulatedProcess } from "./simulated-process.ts";

/** The backend whose principals are used again, through the kit's real pooled types. */
export const POOL = "pool";
export const POOL_SLOTS = ["p1", "p2", "p3", "p4", "p5", "p6"] as const;
/** How long what a tenant made of its credential works on: the longest part of a quarantine. */
export const POOL_TOKEN_SECONDS = 3;

const CONFIG = z.strictObject({
  address: z.string(),
  password: ownSecret(),
  slots: slotPool(z.string(), "Principals"),
});
const groups = () => z.array(z.string()).min(1).max(16);
const leases = leaseRules({
  role: z.strictObject({ groups: groups(), connections: z.int().optional() }),
  params: z.strictObject({ groups: groups().optional() }),
  grant: z.strictObject({ groups: groups() }),
  grantFor: (role, { groups: asked = role.groups }) => {
    if (asked.every((group) => role.groups.includes(group))) return { groups: asked };
    throw beyondRole("groups", "the role lacks one");
  },
  isGrantWithin: (inner, outer) => inner.groups.every((group) => outer.groups.includes(group)),
});

/** What became of a request on its way. */
class LostRequest extends Error {
  override readonly name = "LostRequest";
  readonly effect: "none" | "unknown";
  constructor(effect: "none" | "unknown") {
    super(`effect ${effect}`);
    this.effect = effect;
  }
}

const failures = upstreamFailures(
  "simulated pool",
  (thrown) => (thrown instanceof Error ? thrown : new Error("unknown failure")),
  (failure) => ({
    reason: failure.message,
    effect: failure instanceof LostRequest ? failure.effect : "unknown",
    retrySeconds: failure instanceof SlotRefusal ? null : 1,
    upstreamFails: failure instanceof LostRequest,
  }),
);

interface Wire {
  readonly machine: Machine;
  readonly process: SimulatedProcess;
  readonly server: SlotServer;
}
interface Place extends Wire {
  readonly host: BackendHost;
}

/** As one process has it. What a pool's server cannot do, it says: whether it compares is drawn. */
export function createPooledSlots(
  machine: Machine,
  process: SimulatedProcess,
  server: SlotServer,
  callSecondsMax: number,
): CredentialBackend {
  const send = <T>(
    operation: PoolOperation,
    context: CallContext,
    effect: () => T,
    pretended?: () => T,
  ): Promise<T> => onTheWire({ machine, process, server }, operation, context, effect, pretended);
  return definePooledBackend<z.infer<typeof CONFIG>, Place>({
    type: POOL,
    capabilities: {
      expiryEnforcedBy: "broker",
      revocation: "immediate",
      canRenew: true,
      canList: true,
      ttlSecondsMin: durationSeconds(1),
      ttlSecondsMax: durationSeconds(86_400),
      issueCallSecondsMax: durationSeconds(callSecondsMax),
      lateMint: server.compares ? "refused" : "looked_for",
      credentialKind: "fake-password",
    },
    config: CONFIG,
    leases,
    failures,
    pool: ({ slots }) => ({ slots, tokenSecondsMax: POOL_TOKEN_SECONDS }),
    open: (_config, host) => ({ machine, process, server, host }),
    close: async () => undefined,
    operations: {
      issue: async ({ host }, { slot, generation, mark }, plan, context) => {
        const { expiresAt } = plan;
        const password = Buffer.from(host.random.bytes(24)).toString("base64url");
        const { groups: granted } = leases.grantOf(plan);
        await send("issue", context, () =>
          server.mint(slot, { mark, generation, password, groups: granted, expiresAt }),
        );
        const material = { username: slot, password: Secret.of(password) };
        return { material, fingerprintOf: "password", expiresAt };
      },
      recover: async ({ host }, tenancy, context, { externalName }) => {
        const leftSeconds = host.quarantineSeconds - context.settledForSeconds;
        const wasThere = server.isThere(tenancy.slot, tenancy);
        if (wasThere) await context.found({});
        return send("recover", context, () => {
          if (server.isThere(tenancy.slot, tenancy) && !wasThere) {
            return waitMs(1_000, "it has just appeared");
          }
          if (server.end(tenancy.slot, tenancy)) {
            server.recovered.add(externalName);
            return { outcome: "destroyed", looked: {} };
          }
          if (!server.compares && leftSeconds > 0) {
            return waitMs(leftSeconds * 1_000, "what is late may still come");
          }
          return { outcome: "absent", looked: {} };
        });
      },
      revoke: (_place, tenancy, context) => {
        const refused = { outcome: "refused" } as const;
        const effect = () => {
          server.end(tenancy.slot, tenancy);
          return refused;
        };
        return send("revoke", context, effect, () => refused);
      },
      probe: (_place, tenancy, context) =>
        send("probe", context, () => ({
          verdict: server.isThere(tenancy.slot, tenancy) ? "accepted" : "refused",
          looked: {},
        })),
      extend: (_place, tenancy, expiresAt, context) =>
        send("extend", context, () => {
          server.prolong(tenancy.slot, tenancy, expiresAt);
          return expiresAt;
        }),
      list: (_place, _after, context) =>
        send("list", context, () => ({ slots: server.occupied(), next: null })),
      selfCheck: async () => ({ upstreamIdentity: POOL, clockSkewMs: 0, facts: {}, problems: [] }),
    },
  });
}

const WIRE_MS_MAX = 3;
const LATE_MS_MAX = 2_000;

/**
 * One request. It happens, or does not, whatever becomes of the process that sent it, within the
 * type's longest call.
 */
async function onTheWire<T>(
  { machine, process, server }: Wire,
  operation: PoolOperation,
  context: CallContext,
  effect: () => T,
  pretended?: () => T,
): Promise<T> {
  const { clock, draw, strikes, rates, away, focus } = machine;
  const place = `pool.${operation}`;
  if (away.has(server.identity)) {
    strikes.add("pool", "away: unavailable");
    throw new LostRequest("none");
  }
  const fault = faultOf(draw, rates.backend * oftenAt(focus, place), operation);
  if (fault !== null) strikes.add(place, fault);
  if (fault === "unavailable") throw new LostRequest("none");
  if (fault === "pretend" && pretended !== undefined) return pretended();
  const act = (): T => {
    if (fault === "timeout_without_effect" || fault === "hang") throw new LostRequest("unknown");
    const answer = effect();
    if (fault === "twice") quietly(effect);
    if (fault === "timeout_with_effect") throw new LostRequest("unknown");
    return answer;
  };
  const isLate = fault === "late_effect";
  const answer = clock
    .sleep(isLate ? draw.between(1, LATE_MS_MAX) : draw.between(0, WIRE_MS_MAX))
    .then(act);
  answer.catch(() => undefined);
  await process.pass(`${place}, on the wire`);
  // Whoever called gave up before.
  if (isLate) throw new LostRequest("unknown");
  if (fault === "hang") await aborted(context);
  return answer;
}

const faultOf = (draw: Draw, rate: number, operation: PoolOperation): PoolFault | null =>
  draw.chance(rate) ? draw.of<PoolFault>(POOL_FAULTS[operation]) : null;

/** A request that the network repeated: the answer to the second reaches nobody. */
const quietly = (effect: () => unknown): void => {
  try {
    effect();
  } catch (refusal) {
    if (!(refusal instanceof SlotRefusal)) throw refusal;
  }
};

const aborted = ({ signal }: CallContext): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

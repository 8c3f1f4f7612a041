import { durationSeconds, Secret, type BackendHost, type CredentialBackend } from "@mayfly/spec";
import { z } from "zod";
import {
  beyondRole,
  definePooledBackend,
  leaseRules,
  ownSecret,
  slotPool,
  upstreamFailures,
  waitMs,
  type SlotTenancy,
} from "../index.ts";
import { PoolRefusal, type FakePool } from "./fake-pool.ts";

const CONFIG = z.strictObject({
  password: ownSecret().describe("The broker's password."),
  slots: slotPool(z.string().regex(/^[a-z0-9]{1,63}$/), "Principals"),
});

const level = () => z.int().min(1).max(9);
const leases = leaseRules({
  role: z.strictObject({ level: level().describe("The most that may be asked for.") }),
  params: z.strictObject({ level: level().optional().describe("Less than that.") }),
  grant: z.strictObject({ level: level() }),
  grantFor: (role, { level: asked = role.level }) => {
    if (asked <= role.level) return { level: asked };
    throw beyondRole("level", `the role allows ${role.level}`);
  },
  isGrantWithin: (inner, outer) => inner.level <= outer.level,
});

const failures = upstreamFailures(
  "fake pool",
  (thrown) => (thrown instanceof Error ? thrown : new Error("unknown failure")),
  (failure) => ({
    reason: failure.message,
    // Of a lease that was minted already, the first credential may live.
    effect: failure instanceof PoolRefusal && failure.code !== "has_gone_on" ? "none" : "unknown",
    retrySeconds: failure instanceof PoolRefusal && failure.code !== "past_deadline" ? null : 1,
    upstreamFails: !(failure instanceof PoolRefusal),
  }),
);

interface Place {
  readonly host: BackendHost;
  readonly slots: readonly string[];
}

/** The fake of a pooled type: one that compares generations, and one that cannot. */
export function pooledFake(pool: FakePool): CredentialBackend {
  const { compares } = pool;
  /** Whether exactly that tenancy was there. */
  const end = ({ slot, generation }: Pick<SlotTenancy, "slot" | "generation">): boolean => {
    const stands = pool.at(slot);
    // What cannot compare ends whoever has the slot: the kit alone keeps it from that.
    if (compares && stands.generation > generation) return false;
    const wasThere = stands.generation === generation && stands.password !== null;
    pool.put(slot, { password: null, sessions: new Set() });
    if (compares) pool.put(slot, { generation, mark: "" });
    return wasThere;
  };
  const look = (tenancy: SlotTenancy) => {
    const { generation, password, sessions } = pool.at(tenancy.slot);
    const isIts = generation === tenancy.generation;
    const credentials = isIts && password !== null ? 1 : 0;
    return { credentials, sessions: isIts ? sessions.size : 0 };
  };
  return definePooledBackend<z.infer<typeof CONFIG>, Place>({
    type: "pooled-fake",
    capabilities: {
      expiryEnforcedBy: "upstream",
      revocation: "immediate",
      canRenew: true,
      canList: true,
      ttlSecondsMin: durationSeconds(1),
      ttlSecondsMax: durationSeconds(3_600),
      issueCallSecondsMax: durationSeconds(5),
      lateMint: compares ? "refused" : "looked_for",
      credentialKind: "fake-password",
    },
    config: CONFIG,
    leases,
    failures,
    pool: ({ slots }) => ({ slots, tokenSecondsMax: 7 }),
    open: ({ slots }, host) => ({ host, slots }),
    close: async () => undefined,
    operations: {
      issue: async ({ host }, tenancy, { expiresAt }, context) => {
        const { slot, generation, mark } = tenancy;
        const password = Buffer.from(host.random.bytes(24)).toString("base64url");
        await pool.send(context, () => {
          if (pool.clock.now() > context.issueBy) throw new PoolRefusal("past_deadline");
          const stands = pool.at(slot);
          const isTaken = stands.generation === generation && stands.password !== null;
          if (isTaken || (compares && stands.generation >= generation)) {
            throw new PoolRefusal("has_gone_on");
          }
          pool.put(slot, { generation, mark, password, expiresAt, sessions: new Set() });
        });
        const material = { username: slot, password: Secret.of(password) };
        return { material, fingerprintOf: "password", expiresAt };
      },
      recover: async ({ host }, tenancy, context) => {
        const before = await pool.send(context, () => look(tenancy));
        const isThere = before.credentials + before.sessions > 0;
        if (isThere) await context.found(before);
        if (isThere || compares) {
          const wasThere = await pool.send(context, () => end(tenancy));
          if (wasThere) return { outcome: "destroyed", looked: look(tenancy) };
        }
        const leftSeconds = host.quarantineSeconds - context.settledForSeconds;
        if (!compares && leftSeconds > 0) {
          return waitMs(leftSeconds * 1_000, "what is late may still come");
        }
        return { outcome: "absent", looked: look(tenancy) };
      },
      revoke: async (_place, tenancy, context) => {
        await pool.send(context, () => end(tenancy));
        return { outcome: "refused" };
      },
      probe: async (_place, tenancy, context) => {
        const looked = await pool.send(context, () => look(tenancy));
        const isThere = looked.credentials + looked.sessions > 0;
        return { verdict: isThere ? "accepted" : "refused", looked };
      },
      extend: async (_place, { slot, generation }, expiresAt, context) => {
        await pool.send(context, () => {
          const stands = pool.at(slot);
          if (stands.generation !== generation || stands.password === null) {
            throw new PoolRefusal("gone");
          }
          pool.put(slot, { expiresAt });
        });
        return expiresAt;
      },
      list: async ({ slots }, _after, context) => {
        const live = await pool.send(context, () => pool.live());
        return { slots: live.filter(({ slot }) => slots.includes(slot)), next: null };
      },
      selfCheck: async () => ({
        upstreamIdentity: "fake-pool",
        clockSkewMs: 0,
        facts: {},
        problems: pool.isWeak
          ? [{ code: "right_missing", what: "The fake lacks a right.", fix: "Restore it." }]
          : [],
      }),
    },
  });
}

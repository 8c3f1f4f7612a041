import {
  BackendError,
  durationSeconds,
  type BackendCapabilities,
  type BackendHost,
  type BackendSlots,
  type CallContext,
  type CredentialBackend,
  type InstantMs,
  type IssueContext,
  type IssuePlan,
  type Issued,
  type JsonObject,
  type KeptTenancy,
  type MarkedPage,
  type PoolingHost,
  type Probe,
  type RecoverContext,
  type Recovered,
  type Revoked,
  type Secret,
  type SelfCheck,
  type SlotsWanted,
  type Tenancy,
} from "@mayfly/spec";
import { completed, type BackendDefinition, type LeaseOperations } from "./define-backend.ts";
import { notSent } from "./refuse-late.ts";
import {
  markedSlot,
  readTenancyHandle,
  slotTenancy,
  tenancyHandle,
  type SlotTenancy,
} from "./slot-tenancy.ts";
import type { UpstreamFailures } from "./upstream-failures.ts";

/**
 * What a pooled type does with a slot. None of these is called for a tenancy whose slot has gone on
 * to another, but for `probe`: and what was called before may arrive after that. Where the upstream
 * can compare the generation that stands at the slot with the call's, it refuses a lower one; where
 * it cannot, the type says `lateMint: "looked_for"`.
 */
export interface PooledOperations<Place> {
  /**
   * T4. First what an end does, of whoever had the slot before. Leaves `tenancy.mark` at it.
   * `handle`: what `revoke` needs beside the tenancy; most need nothing.
   */
  readonly issue: (
    place: Place,
    tenancy: SlotTenancy,
    plan: IssuePlan,
    context: IssueContext,
  ) => Promise<Omit<Issued, "handle"> & { readonly handle?: Secret }>;
  /**
   * Never of a lease that had no slot: such a one is absent. What it destroys it sends at once when
   * `context.found` has resolved, which has asked again whose the slot is; where it found nothing,
   * nothing, unless the upstream compares.
   */
  readonly recover: (
    place: Place,
    tenancy: SlotTenancy,
    context: RecoverContext,
    plan: IssuePlan,
  ) => Promise<Recovered>;
  readonly revoke: (
    place: Place,
    tenancy: SlotTenancy,
    context: CallContext,
    handle: Secret | null,
  ) => Promise<Revoked>;
  /** By its generation: `accepted` while what this tenancy was given works. */
  readonly probe: (
    place: Place,
    tenancy: SlotTenancy,
    context: CallContext,
    handle: Secret | null,
  ) => Promise<Probe>;
  readonly extend?: (
    place: Place,
    tenancy: SlotTenancy,
    expiresAt: InstantMs,
    context: IssueContext,
  ) => Promise<InstantMs>;
  /** The slots that accept a credential, each with what stands at it. */
  readonly list?: (place: Place, after: string | null, context: CallContext) => Promise<SlotPage>;
  readonly adoptSecret?: (place: Place, context: CallContext) => Promise<void>;
  readonly obtainSecret?: (place: Place, context: CallContext) => Promise<Secret | null>;
  readonly selfCheck: (
    place: Place,
    roles: readonly JsonObject[],
    context: CallContext,
  ) => Promise<SelfCheck>;
}

export interface SlotPage {
  readonly slots: readonly { readonly slot: string; readonly mark: string }[];
  readonly next: string | null;
}

export interface PooledDefinition<Config, Place> extends Omit<
  BackendDefinition<Config, Place>,
  "capabilities" | "operations"
> {
  readonly capabilities: Omit<BackendCapabilities, "pooled" | "standingSecret">;
  /** The slots of a configuration, and the longest that lives what a tenant made of its own. */
  readonly pool: (config: Config) => {
    readonly slots: readonly string[];
    readonly tokenSecondsMax: number;
  };
  readonly operations: PooledOperations<Place>;
}

interface Pooled<Place> {
  readonly place: Place;
  readonly host: BackendHost;
  readonly slots: BackendSlots;
  readonly wanted: SlotsWanted;
  /** From when it is sent until it arrives, or never does. */
  readonly callSecondsMax: number;
}

/** How old what the ledger told may be when an end is sent: so much longer a slot is kept. */
const LOOK_SECONDS_MAX = 1;
/** Of one end: what was told is too old where the ledger is slow, or this process stood still. */
const LOOKS_MAX = 3;

/**
 * A complete type whose principals are used again. A slot is taken in the ledger, durably and under
 * a generation of its own, before anything is sent; what comes of an earlier tenancy stays away.
 */
export function definePooledBackend<Config, Place>(
  definition: PooledDefinition<Config, Place>,
): CredentialBackend {
  const { capabilities, failures, operations } = definition;
  return completed<Config, Pooled<Place>>({
    ...definition,
    capabilities: { ...capabilities, pooled: true },
    open: (config, host: PoolingHost, closing) => {
      const { slots, tokenSecondsMax } = definition.pool(config);
      const quarantineSeconds = durationSeconds(
        Math.max(
          host.quarantineSeconds,
          capabilities.issueCallSecondsMax + LOOK_SECONDS_MAX,
          tokenSecondsMax,
        ),
      );
      return {
        place: definition.open(config, host, closing),
        host,
        slots: host.slots,
        wanted: { slots, quarantineSeconds },
        callSecondsMax: capabilities.issueCallSecondsMax,
      };
    },
    close: ({ place }) => definition.close(place),
    operations: operationsOf(failures, operations),
  });
}

function operationsOf<Place>(
  failures: UpstreamFailures,
  { list, extend, adoptSecret, obtainSecret, ...operations }: PooledOperations<Place>,
): LeaseOperations<Pooled<Place>> {
  return {
    issue: (pool, plan, context) => issue(failures, operations, pool, plan, context),
    recover: async (pool, plan, context) => {
      const find = () => look(failures, pool, "recover", () => pool.slots.find(plan.leaseId));
      const tenancy = await find();
      // The ledger gives none to a lease that is to be recovered, so none comes any more.
      if (tenancy === null || tenancy.isOver) return { outcome: "absent", looked: { slots: 0 } };
      const found = async (looked: JsonObject): Promise<void> => {
        await context.found(looked);
        // Whatever was told before is old by now, and an end is sent next.
        const now = await find();
        if (now !== null && !now.isOver) return;
        throw failures.unfinished("recover: its tenancy is over; nothing was sent", 1);
      };
      const at = slotTenancy(pool.host, tenancy);
      return operations.recover(pool.place, at, { ...context, found }, plan);
    },
    revoke: async (pool, handle, context) => {
      const { tenancy, own } = readTenancyHandle(handle);
      if (await hasGoneOn(failures, pool, tenancy, "revoke")) return { outcome: "refused" };
      return operations.revoke(pool.place, slotTenancy(pool.host, tenancy), context, own);
    },
    probe: ({ place, host }, handle, context) => {
      const { tenancy, own } = readTenancyHandle(handle);
      return operations.probe(place, slotTenancy(host, tenancy), context, own);
    },
    selfCheck: ({ place }, roles, context) => operations.selfCheck(place, roles, context),
    ...(extend === undefined ? {} : { extend: extending(failures, extend) }),
    ...(list === undefined ? {} : { list: listing(list) }),
    ...(adoptSecret === undefined
      ? {}
      : { adoptSecret: ({ place }, context) => adoptSecret(place, context) }),
    ...(obtainSecret === undefined
      ? {}
      : { obtainSecret: ({ place }, context) => obtainSecret(place, context) }),
  };
}

async function issue<Place>(
  failures: UpstreamFailures,
  operations: Pick<PooledOperations<Place>, "issue">,
  { place, host, slots, wanted }: Pooled<Place>,
  plan: IssuePlan,
  context: IssueContext,
): Promise<Issued> {
  const what = `${failures.name}, issue`;
  const answer = await slots.take(plan.leaseId, wanted).catch((cause: unknown) => {
    throw notSent(`${what}: the ledger gave no slot; nothing was sent`, 1, cause);
  });
  if (answer.kind === "late") {
    throw notSent(`${what}: the lease may take no slot any more; nothing was sent`);
  }
  if (answer.kind === "busy") throw allBusy(what, wanted.slots.length, answer.freeInSeconds);
  // The answer may have waited.
  failures.refuseLate(context, "issue");
  const { handle, ...issued } = await operations.issue(
    place,
    slotTenancy(host, answer.tenancy),
    plan,
    context,
  );
  return { ...issued, handle: tenancyHandle(answer.tenancy, handle ?? null) };
}

const RETRY_SECONDS_MAX = 3_600;

function allBusy(what: string, count: number, freeInSeconds: number): BackendError {
  const seconds = Math.min(Math.max(1, Math.ceil(freeInSeconds)), RETRY_SECONDS_MAX);
  const pool = count === 1 ? "the one slot" : `each of the ${count} slots`;
  return new BackendError(
    `${what}: ${pool} has a tenant or had one a moment ago; nothing was sent. ` +
      `The first is free in ${seconds} s at most; more slots in the backend's pool help for good.`,
    { effect: "none", retry: { kind: "after", seconds: durationSeconds(seconds) } },
  );
}

/** Whether a later tenant has the slot, or may have: what ends this tenancy would end that one. */
async function hasGoneOn<Place>(
  failures: UpstreamFailures,
  pool: Pooled<Place>,
  { slot, generation }: Tenancy,
  what: string,
): Promise<boolean> {
  const last = await look(failures, pool, what, () => pool.slots.last(slot));
  if (last === null) return false;
  return last.generation > generation || (last.generation === generation && last.isOver);
}

/**
 * What the ledger tells of a tenancy, while it is true: what is sent now to end it arrives before
 * anybody else may have the slot, or it `isOver`: its lease has ended, and it does not. Many
 * an upstream ends whoever is there, and a process may have been frozen since it claimed the lease,
 * or while the ledger answered.
 */
async function look<Place>(
  failures: UpstreamFailures,
  { host, callSecondsMax }: Pooled<Place>,
  what: string,
  ask: () => Promise<KeptTenancy | null>,
): Promise<(KeptTenancy & { readonly isOver: boolean }) | null> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const askedAtMs = host.clock.monotonicMs();
    const told = await asked(failures, what, ask);
    if (told === null) return null;
    const spareSeconds = told.keptSeconds - callSecondsMax;
    if (told.hasEnded && spareSeconds <= 0) return { ...told, isOver: true };
    const trueForSeconds = told.hasEnded ? spareSeconds : Math.max(spareSeconds, LOOK_SECONDS_MAX);
    if (host.clock.monotonicMs() - askedAtMs < trueForSeconds * 1_000) {
      return { ...told, isOver: false };
    }
  }
  throw failures.unfinished(
    `${what}: what the ledger told was too old each time; nothing was sent`,
    1,
  );
}

/** An end that does not know whose slot it is waits until the ledger tells. */
const asked = async <T>(
  failures: UpstreamFailures,
  what: string,
  ask: () => Promise<T>,
): Promise<T> => {
  try {
    return await ask();
  } catch (cause) {
    const error = failures.unfinished(`${what}: the ledger does not tell who has the slot`);
    throw new BackendError(error.message, { cause, effect: error.effect, retry: error.retry });
  }
};

const extending =
  <Place>(
    failures: UpstreamFailures,
    extend: NonNullable<PooledOperations<Place>["extend"]>,
  ): NonNullable<LeaseOperations<Pooled<Place>>["extend"]> =>
  async (pool, handle, expiresAt, context) => {
    const { tenancy } = readTenancyHandle(handle);
    if (await hasGoneOn(failures, pool, tenancy, "renew")) throw failures.gone("its tenancy");
    failures.refuseLate(context, "renew");
    return extend(pool.place, slotTenancy(pool.host, tenancy), expiresAt, context);
  };

const listing =
  <Place>(
    list: NonNullable<PooledOperations<Place>["list"]>,
  ): NonNullable<LeaseOperations<Pooled<Place>>["list"]> =>
  async ({ place, host }, after, context): Promise<MarkedPage> => {
    const { slots, next } = await list(place, after, context);
    return { marked: slots.map(({ slot, mark }) => markedSlot(host, slot, mark)), next };
  };

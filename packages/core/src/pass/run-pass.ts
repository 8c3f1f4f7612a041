import {
  durationSeconds,
  type BackendId,
  type CallContext,
  type Claim,
  type ClaimOutcome,
  type Clock,
  type InstantMs,
  type TraceStep,
} from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreSettings } from "../settings.ts";
import type { Slots } from "./slots.ts";
import { createWaitAlarms, type WaitAlarms } from "./wait-alarms.ts";
import { workClaim } from "./work-claim.ts";

export interface PassResult {
  readonly backendId: BackendId;
  readonly claimed: number;
  readonly ended: number;
  readonly waiting: number;
  readonly failed: number;
  /** Claims whose time was over before they were settled: others own them now. */
  readonly lost: number;
}

/** Of one pass: a backlog beyond it is the next sweep's, so that no pass runs for ever. */
const BATCHES_MAX = 1000;

type Fate = "ended" | "waiting" | "failed" | "lost";

/**
 * Claims and settles what is due at one backend until nothing is, or `context` is aborted. The next
 * batch is claimed while one is worked on, so that neither the ledger nor the backend waits for the
 * other, and a lease that is hard to end holds up none but itself.
 */
export async function runPass(
  parts: CoreParts,
  backendId: BackendId,
  slots: Slots,
  context: CallContext,
): Promise<PassResult> {
  const { clock, settings, sweepLedger } = parts.ports;
  const view = await parts.catalog.fresh();
  const count = { claimed: 0, ended: 0, waiting: 0, failed: 0, lost: 0 };
  const work = createUnderWay();
  const pass: Pass = { view, alarms: createWaitAlarms(parts), context };
  const atOnce = endsAtOnce(parts, view, backendId);
  slots.resize(atOnce);
  const pace = createPace(clock, atOnce, settings);
  let from: InstantMs | null = null;
  for (let batch = 0; batch < BATCHES_MAX && !context.signal.aborted; batch++) {
    // Before the ledger stamps the claim: by this clock it is over no later than there.
    const ownedUntilMs = clock.monotonicMs() + settings.claimSeconds * 1000;
    const claims: readonly Claim[] = await sweepLedger.claim(
      backendId,
      settings.claimBatch,
      durationSeconds(settings.claimSeconds),
      from,
    );
    if (claims.length === 0 && from === null) break;
    from = claims.length < settings.claimBatch ? null : (claims.at(-1)?.dueAt ?? null);
    count.claimed += claims.length;
    for (const claim of claims) {
      work.start(async () => {
        const outcome = await slots.run(() => workInTime(parts, pass, claim, ownedUntilMs));
        // Outside the slot, which is a place at the backend: the ledger has a queue of its own.
        count[outcome === "lost" ? "lost" : await settleClaim(parts, pass, claim, outcome)]++;
      });
    }
    await work.atMost(pace.underWay(count.ended));
  }
  await work.atMost(0);
  return { backendId, ...count };
}

/** Of a type whose ends share calls: enough for two full batches of each kind of call. */
const TOGETHER = 4;

function endsAtOnce({ ports }: CoreParts, view: CatalogView, backendId: BackendId): number {
  const type = view.backends.get(backendId)?.registered.type;
  const capabilities = type === undefined ? null : ports.backendTypes.get(type)?.capabilities;
  return ports.settings.passConcurrency * (capabilities?.endsTogether === true ? TOGETHER : 1);
}

/** Of the time that a claim lasts: in so long what is under way shall be done. */
const SHARE_OF_CLAIM = 1 / 6;
/** How quick ends are is looked at no more often: they come in batches. */
const PACE_MS = 500;

/**
 * How many may be under way when the next batch is claimed: one batch, and of a type that ends many
 * at once as many as it has places for, so long as ends go so fast that none waits for its own
 * until the claim is over.
 */
function createPace(
  clock: Clock,
  atOnce: number,
  { claimBatch, claimSeconds }: Pick<CoreSettings, "claimBatch" | "claimSeconds">,
): { underWay(ended: number): number } {
  let last = { ms: clock.monotonicMs(), ended: 0 };
  let underWay = claimBatch;
  return {
    underWay: (ended) => {
      const now = clock.monotonicMs();
      if (now - last.ms < PACE_MS) return underWay;
      const perSecond = (1000 * (ended - last.ended)) / (now - last.ms);
      last = { ms: now, ended };
      const inTime = Math.floor(perSecond * claimSeconds * SHARE_OF_CLAIM);
      underWay = Math.max(claimBatch, Math.min(atOnce, inTime));
      return underWay;
    },
  };
}

interface UnderWay {
  start(work: () => Promise<void>): void;
  /** Resolves when no more than `count` are under way; rejects when one of them has. */
  atMost(count: number): Promise<void>;
}

function createUnderWay(): UnderWay {
  let running = 0;
  let waiting: { readonly count: number; readonly resolve: () => void } | null = null;
  const failures: unknown[] = [];
  const ended = (): void => {
    running--;
    if (waiting !== null && running <= waiting.count) waiting.resolve();
  };
  return {
    start: (work) => {
      running++;
      work()
        .catch((error: unknown) => failures.push(error))
        .then(ended, ended);
    },
    atMost: async (count) => {
      if (running > count) {
        await new Promise<void>((resolve) => {
          waiting = { count, resolve };
        });
        waiting = null;
      }
      if (running === 0 && failures.length > 0) throw failures[0];
    },
  };
}

/** What the claims of one pass share. */
interface Pass {
  readonly view: CatalogView;
  readonly alarms: WaitAlarms;
  readonly context: CallContext;
}

async function workInTime(
  parts: CoreParts,
  { view, context }: Pass,
  claim: Claim,
  ownedUntilMs: number,
): Promise<ClaimOutcome | "lost"> {
  const { clock, tracer } = parts.ports;
  const seconds = secondsLeft(clock, ownedUntilMs);
  if (seconds <= 0 || context.signal.aborted) return "lost";
  const outcome = await tracer.span(stepOf(claim), async (span) => {
    const worked = await workClaim(parts, view, claim, seconds, context);
    span.set({ "mayfly.claim.outcome": worked.kind });
    if (worked.kind === "failed") span.fail("failed");
    return worked;
  });
  // What was broken off by a shutdown has not failed: the claim runs out, and another takes it.
  return context.signal.aborted && outcome.kind === "failed" ? "lost" : outcome;
}

async function settleClaim(
  parts: CoreParts,
  { alarms }: Pass,
  claim: Claim,
  outcome: ClaimOutcome,
): Promise<Fate> {
  const { sweepLedger, log, failPoints } = parts.ports;
  try {
    if (!(await sweepLedger.settle(claim, outcome))) return "lost";
  } catch (error) {
    const fields = { lease: claim.leaseId, backend: claim.backendId };
    log.warn("what became of a lease was not recorded: it will be claimed again", fields, error);
    return "lost";
  }
  await failPoints.reached("settle.after");
  switch (outcome.kind) {
    case "ended":
      return "ended";
    case "wait":
      alarms.set(claim, outcome.seconds);
      return "waiting";
    case "failed":
      return "failed";
  }
}

/** Found again by its lease, which the trace of its exchange names too. */
const stepOf = ({ work, leaseId, backendId, attempts }: Claim): TraceStep => ({
  name: work.kind,
  kind: "internal",
  attributes: {
    "mayfly.lease.id": leaseId,
    "mayfly.backend.id": backendId,
    "mayfly.lease.attempts": attempts,
  },
});

const secondsLeft = (clock: Clock, untilMs: number): number =>
  (untilMs - clock.monotonicMs()) / 1000;

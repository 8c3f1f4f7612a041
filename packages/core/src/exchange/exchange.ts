import {
  BrokerError,
  workloadName,
  type CallContext,
  type LeaseIntent,
  type ReserveResult,
  type TaskId,
  type Workload,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { decideImpersonation, denyImpersonation } from "../impersonation.ts";
import { requireRoleEnabled } from "../issuing-gate.ts";
import { parseTaskDetails } from "../descriptor/task-details.ts";
import { repeatOpening, resolveAsk, type Ask } from "./ask.ts";
import { authenticate, type CallerParts } from "./authenticate.ts";
import { deny } from "./deny.ts";
import type { ExchangeReply, ExchangeRequest } from "./exchange-request.ts";
import type { Reserved } from "./issue.ts";
import { judge, type Denied, type Judged, type Permitted } from "./judge.ts";
import { mintAll } from "./mint-all.ts";
import { aboutAssertion } from "../verify-identity.ts";
import { reply } from "./reply.ts";
import { reserve, scopeOf, tokenUseOf, type SeenKey } from "./reserve.ts";
import { step } from "./step.ts";
import { factsOf, wantedOf, type TaskFacts } from "./task-facts.ts";

/** How often one exchange begins anew because the catalog or its key changed under it. */
const ATTEMPTS_MAX = 3;

/** The exchange, step by step; `docs/issue-cycle.md` says what is durable after each. */
export async function exchange(
  parts: CoreParts,
  request: ExchangeRequest,
  context: CallContext,
): Promise<ExchangeReply> {
  using place = new DisposableStack();
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    // Anew each time: a trust root that was removed meanwhile vouches for nobody.
    const { view, ask: asked } = await understand(parts, request, context);
    if (attempt === 0) place.defer(parts.workloadPace.begin(workloadName(workloadOf(asked))));
    const { ask, key } = await seeKey(parts, asked, request);
    const reserving = attemptReserve(parts, view, ask, key);
    const outcome = await aboutAssertion(request.client ?? null, reserving);
    switch (outcome.kind) {
      case "reserved":
        return await mintAndReply(parts, view, ask, key, outcome, context);
      case "stale_catalog":
        await parts.catalog.fresh();
        break;
      case "stale_idempotency":
        break;
    }
  }
  throw new BrokerError("busy", "The catalog or this Idempotency-Key keeps changing.", {
    retryAfterSeconds: 1,
  });
}

const workloadOf = (ask: Ask): Workload =>
  ask.kind === "draw" ? ask.task.workload : ask.identity.workload;

/** Steps 2 and 3: who asks for what, under one view of the catalog. */
export async function understand(
  parts: CoreParts,
  request: CallerParts & Pick<ExchangeRequest, "details">,
  context: CallContext,
): Promise<{ readonly view: CatalogView; readonly ask: Ask }> {
  const { tracer, settings } = parts.ports;
  const caller = await tracer.span(step("verify"), () => authenticate(parts, request, context));
  const ask = await tracer.span(step("parse"), async () =>
    resolveAsk(parts, caller, parseTaskDetails(request.details, settings)),
  );
  return { view: await parts.catalog.current(), ask };
}

/** What the Idempotency-Key was used for: its task is reused, its other body refused. */
async function seeKey(
  parts: CoreParts,
  asked: Ask,
  request: ExchangeRequest,
): Promise<{ readonly ask: Ask; readonly key: SeenKey | null }> {
  const { idempotency } = request;
  if (idempotency === null) return { ask: asked, key: null };
  const scope = scopeOf(asked, idempotency);
  const { bodySha256 } = idempotency;
  const record = await parts.ports.issueLedger.readIdempotent(scope);
  if (record === null) return { ask: asked, key: { scope, bodySha256, seenGeneration: 0 } };
  if (record.bodySha256 !== bodySha256) {
    throw new BrokerError(
      "idempotency_mismatch",
      "This Idempotency-Key was used with another request.",
      { where: "Idempotency-Key" },
    );
  }
  const key: SeenKey = { scope, bodySha256, seenGeneration: record.generation };
  if (asked.kind === "draw") return { ask: asked, key };
  const task = await parts.ports.taskLedger.find(record.taskId);
  return { ask: await repeatOpening(parts, asked, task), key };
}

type Attempt =
  | (Extract<ReserveResult, { kind: "reserved" }> & {
      readonly permitted: readonly Permitted[];
      readonly intents: readonly LeaseIntent[];
    })
  | Exclude<ReserveResult, { kind: "reserved" }>;

/**
 * Steps 4 to 6 under one view of the catalog. A cached one never refuses for long: before it does,
 * the catalog is looked at, and if it moved everything begins anew.
 */
async function attemptReserve(
  parts: CoreParts,
  view: CatalogView,
  ask: Ask,
  key: SeenKey | null,
): Promise<Attempt> {
  const facts = factsOf(ask, parts.ports.clock.now());
  const hasMoved = async (): Promise<boolean> =>
    (await parts.catalog.fresh()).version !== view.version;
  const impersonation = decideImpersonation(parts.ports, view, facts);
  if (impersonation?.decision.verdict.effect === "deny") {
    if (await hasMoved()) return { kind: "stale_catalog" };
    return denyImpersonation(parts.ports, impersonation, tokenUseOf(ask, key));
  }
  let judged: readonly Judged[];
  try {
    judged = await judgeAll(parts, view, ask, facts);
  } catch (error) {
    if (await hasMoved()) return { kind: "stale_catalog" };
    throw error;
  }
  const [denied, ...more] = judged.filter((one): one is Denied => one.kind === "denied");
  if (denied !== undefined) {
    if (await hasMoved()) return { kind: "stale_catalog" };
    return deny(parts.ports, facts, [denied, ...more], tokenUseOf(ask, key));
  }
  const permitted = judged.filter((one): one is Permitted => one.kind === "permitted");
  const { result, intents } = await parts.ports.tracer.span(step("reserve"), () =>
    reserve(parts.ports, view, ask, facts, { permitted, impersonation }, key),
  );
  return result.kind === "reserved" ? { ...result, permitted, intents } : result;
}

/** All are judged before any is refused for the state of its backend. */
async function judgeAll(
  parts: CoreParts,
  view: CatalogView,
  ask: Ask,
  facts: TaskFacts,
): Promise<readonly Judged[]> {
  const judged = wantedOf(ask).map((wanted) => judge(parts.ports, view, facts, wanted));
  if (judged.some(({ kind }) => kind === "denied")) return judged;
  for (const one of judged) {
    if (one.kind === "permitted" && one.wanted.mint) {
      requireRoleEnabled(one.target.role);
      await parts.gate.check(one.target.registered, one.target.type);
      parts.issuePlaces.check(one.target.registered.id);
    }
  }
  return judged;
}

/** Steps 7 to 10. */
async function mintAndReply(
  parts: CoreParts,
  view: CatalogView,
  ask: Ask,
  key: SeenKey | null,
  outcome: Extract<Attempt, { kind: "reserved" }>,
  context: CallContext,
): Promise<ExchangeReply> {
  const { id: taskId } = outcome.task;
  const reserved = outcome.intents.map((intent): Reserved => {
    const handle = outcome.leases.find(({ id }) => id === intent.id);
    const permitted = outcome.permitted.find(({ plan }) => plan.leaseId === intent.id);
    if (handle !== undefined && permitted !== undefined)
      return { taskId, permitted, intent, handle };
    throw new BrokerError("internal", `the ledger reserved without ${intent.id}`);
  });
  // With a key the task is its repetition's too, which may be under way: it ends idle if not.
  const alone = ask.kind === "open" && key === null;
  const opened: TaskId | null = alone ? outcome.task.id : null;
  const credentials = await mintAll(parts, reserved, opened, context);
  return parts.ports.tracer.span(step("reply"), () =>
    reply(parts, view, outcome.task, ask, credentials),
  );
}

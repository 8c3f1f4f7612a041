import {
  BrokerError,
  impersonationText,
  unreachable,
  workloadName,
  type Decision,
  type JsonObject,
  type Task,
  type TokenUse,
  type TrustRootName,
  type Verdict,
} from "@mayfly/spec";
import type { CatalogView } from "./catalog/catalog-view.ts";
import type { CoreParts } from "./core-parts.ts";
import { detailsPath } from "./descriptor/task-details.ts";
import { workloadJson } from "./exchange/decide.ts";
import { mintId } from "./mint-id.ts";
import type { CorePorts } from "./ports.ts";

/** What of a task, open or not, is asked about. */
interface Asking extends Pick<
  Task,
  "workload" | "verifiedInitiator" | "initiatorTrustRoot" | "descriptor"
> {
  /** Null while the task is not open. */
  readonly taskId: Task["id"] | null;
}

/** A verdict on record, with the pair that it is about. */
export interface ImpersonationDecision {
  readonly decision: Decision;
  readonly pair: Pair;
}
interface Pair extends Pick<Task, "workload"> {
  readonly initiator: string;
  readonly initiatorTrustRoot: TrustRootName;
}

/**
 * Beside what else is decided, of each task whose tokens are to name its initiator alone: whether
 * today's policies permit just this. Null where nobody asks for it. Pure, and leaves no row.
 */
export function decideImpersonation(
  ports: Pick<CorePorts, "clock" | "random">,
  view: CatalogView,
  asking: Asking,
): ImpersonationDecision | null {
  if (asking.descriptor.impersonate !== true) return null;
  const pair = pairOf(asking);
  const { initiator, initiatorTrustRoot } = pair;
  const request: JsonObject = {
    action: "impersonate",
    workload: workloadJson(pair),
    initiator: { name: initiator, trustRoot: initiatorTrustRoot },
  };
  const decision = {
    id: mintId("decision", ports),
    taskId: asking.taskId,
    request,
    verdict: view.impersonate(pair),
    policyDigest: view.policyDigest,
    decidedAt: ports.clock.now(),
  };
  return { decision, pair };
}

/** An exchange that asks for it has both, or was refused. */
function pairOf({ workload, verifiedInitiator, initiatorTrustRoot }: Asking): Pair {
  if (verifiedInitiator !== null && initiatorTrustRoot !== null) {
    return { workload, initiator: verifiedInitiator, initiatorTrustRoot };
  }
  throw new BrokerError("internal", "a task that impersonates has nobody whom it appears as");
}

/**
 * Before a token is given out again: what is not permitted any more is denied, on record, and the
 * task lives until it is ended or is idle for too long.
 */
export async function requireStillPermitted(parts: CoreParts, task: Task): Promise<void> {
  if (task.descriptor.impersonate !== true) return;
  const view = await parts.catalog.fresh();
  const decided = decideImpersonation(parts.ports, view, { ...task, taskId: task.id });
  if (decided === null || decided.decision.verdict.effect === "permit") return;
  return denyImpersonation(parts.ports, decided, null);
}

/** Records the denial durably, then throws `denied`, or `replayed`. */
export async function denyImpersonation(
  ports: CorePorts,
  { decision, pair }: ImpersonationDecision,
  tokenUse: TokenUse | null,
): Promise<never> {
  const { verdict } = decision;
  if (verdict.effect === "permit") {
    throw new BrokerError("internal", "a permit was taken for a denial");
  }
  const workload = workloadName(pair.workload);
  const use = tokenUse === null ? {} : { tokenUse };
  await ports.issueLedger.recordDenial({ decision, workload, role: null, ...use });
  const { where, hint } = decision.taskId === null ? OF_OPENING : OF_OPEN;
  throw new BrokerError("denied", publicText(pair, verdict), {
    where,
    public: {
      decision: decision.id,
      determining_policies: verdict.determining,
      hint: `${hint} Who writes the policies sees why with: mayfly policy explain ${decision.id}`,
    },
  });
}

const OF_OPENING = {
  where: detailsPath("impersonate"),
  hint: "Without it the task's tokens say who acts, and no policy on impersonation is asked.",
};
const OF_OPEN = {
  where: "task",
  hint: "Nothing more is given out for it: end it, and open one whose tokens say who acts.",
};

/** The words for the caller, who showed both tokens. */
export function publicText(
  pair: Pick<Pair, "workload" | "initiator">,
  verdict: Extract<Verdict, { effect: "deny" }>,
): string {
  switch (verdict.why) {
    case "no_permit":
      return `No policy permits ${impersonationText(pair)}.`;
    case "forbidden":
    case "evaluation_error":
    case "invalid_request":
      return verdict.explanation;
    default:
      return unreachable(verdict.why);
  }
}

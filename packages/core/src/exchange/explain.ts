import {
  BrokerError,
  workloadName,
  type BackendCapabilities,
  type CallContext,
  type InstantMs,
  type JsonObject,
  type RoleName,
  type TaskId,
  type Verdict,
} from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { decideImpersonation, publicText, type ImpersonationDecision } from "../impersonation.ts";
import { requireRoleEnabled } from "../issuing-gate.ts";
import type { Ask } from "./ask.ts";
import type { CallerParts } from "./authenticate.ts";
import { publicExplanation } from "./decide.ts";
import { understand } from "./exchange.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import { judge, type Judged } from "./judge.ts";
import { factsOf, wantedOf, type TaskFacts } from "./task-facts.ts";

export interface Explanation {
  readonly workload: string;
  /** Null: the exchange would open a task. */
  readonly taskId: TaskId | null;
  readonly deadlineAt: InstantMs;
  readonly policyDigest: string;
  /** Null: the task's tokens say who acts. */
  readonly impersonation: ExplainedVerdict | null;
  readonly credentials: readonly ExplainedCredential[];
}

export interface ExplainedVerdict {
  readonly effect: Verdict["effect"];
  readonly explanation: string;
  readonly determining: readonly string[];
}

export interface ExplainedCredential extends ExplainedVerdict {
  readonly role: RoleName;
  /** What would be asked of the backend; null where it is denied. */
  readonly would: {
    readonly grant: JsonObject;
    readonly kind: string;
    readonly expiresAt: InstantMs;
    readonly expiryEnforcedBy: BackendCapabilities["expiryEnforcedBy"];
    readonly revocation: BackendCapabilities["revocation"];
    /** Why it would not be issued now although it is permitted, or null. */
    readonly pausedBecause: string | null;
  } | null;
}

/** What the exchange would give, or why not: its steps 2 to 5. Reserves, mints, records nothing. */
export async function explain(
  parts: CoreParts,
  request: CallerParts & Pick<ExchangeRequest, "details">,
  context: CallContext,
): Promise<Explanation> {
  // Nothing later would notice that the catalog moved.
  await parts.catalog.fresh();
  const { view, ask } = await understand(parts, request, context);
  requireRepeatable(ask);
  const facts = factsOf(ask, parts.ports.clock.now());
  const credentials: ExplainedCredential[] = [];
  for (const wanted of wantedOf(ask)) {
    const judged = judge(parts.ports, view, facts, wanted);
    credentials.push(await explained(parts, facts, judged));
  }
  return {
    workload: workloadName(facts.workload),
    taskId: facts.taskId,
    deadlineAt: facts.deadlineAt,
    policyDigest: view.policyDigest,
    impersonation: explainedPair(decideImpersonation(parts.ports, view, facts)),
    credentials,
  };
}

/** Nothing is recorded here, so a token that counts once could be shown any number of times. */
function requireRepeatable(ask: Ask): void {
  if (ask.identity === null || ask.identity.oneTime === null) return;
  throw new BrokerError(
    "invalid_identity",
    "This token counts once, for a token exchange; nothing is explained to it.",
    {
      where: "subject_token",
      public: {
        hint: "Exchange it; what is denied names the decision. Or explain with a task token.",
      },
    },
  );
}

function explainedPair(decided: ImpersonationDecision | null): ExplainedVerdict | null {
  if (decided === null) return null;
  const { verdict } = decided.decision;
  const { effect, determining } = verdict;
  const explanation =
    verdict.effect === "deny" ? publicText(decided.pair, verdict) : verdict.explanation;
  return { effect, explanation, determining };
}

async function explained(
  parts: CoreParts,
  facts: TaskFacts,
  judged: Judged,
): Promise<ExplainedCredential> {
  const { role } = judged.wanted.request;
  const { verdict } = judged.decision;
  const explanation =
    verdict.effect === "deny" ? publicExplanation(verdict, facts, role) : verdict.explanation;
  const { effect, determining } = verdict;
  if (judged.kind === "denied") return { role, effect, explanation, determining, would: null };
  const { type } = judged.target;
  const { expiryEnforcedBy, revocation, credentialKind } = type.capabilities;
  const would = {
    grant: judged.plan.grant,
    kind: credentialKind,
    expiresAt: judged.plan.expiresAt,
    expiryEnforcedBy,
    revocation,
    pausedBecause: await pausedBecause(parts, judged.target),
  };
  return { role, effect, explanation, determining, would };
}

async function pausedBecause(
  parts: CoreParts,
  target: Extract<Judged, { kind: "permitted" }>["target"],
): Promise<string | null> {
  try {
    requireRoleEnabled(target.role);
    await parts.gate.check(target.registered, target.type);
    return null;
  } catch (error) {
    if (BrokerError.is(error) && error.code === "issuing_paused") return error.message;
    throw error;
  }
}

import {
  BrokerError,
  workloadName,
  type DecisionId,
  type JsonObject,
  type TokenUse,
  type Verdict,
} from "@mayfly/spec";
import type { CorePorts } from "../ports.ts";
import { credentialPath } from "../descriptor/task-details.ts";
import { publicExplanation } from "./decide.ts";
import type { Denied } from "./judge.ts";
import type { TaskFacts } from "./task-facts.ts";

/** Records every denial durably, then throws `denied` for the first, or `replayed`. */
export async function deny(
  ports: CorePorts,
  facts: TaskFacts,
  denied: readonly [Denied, ...Denied[]],
  tokenUse: TokenUse | null,
): Promise<never> {
  const workload = workloadName(facts.workload);
  for (const { decision, wanted } of denied) {
    const denial = { decision, workload, role: wanted.request.role };
    // The first one uses the token; without a key the second would be taken for a replay.
    const isFirst = decision === denied[0].decision;
    const use = isFirst && tokenUse !== null ? { tokenUse } : {};
    await ports.issueLedger.recordDenial({ ...denial, ...use });
  }
  throw denialError(facts, denied[0]);
}

/**
 * The same words whether the role is unknown or not permitted, and whatever other policies exist:
 * who asks for too long learns that less may do, and nothing of what else there is.
 */
function denialHint(verdict: Extract<Verdict, { effect: "deny" }>, decision: DecisionId): string {
  const less =
    verdict.determining.length > 0
      ? "Asking again changes nothing: ask for less (another role, a shorter ttl or deadline)"
      : "Check the role's name; a shorter ttl or deadline may be permitted where this one is not";
  return `${less}. Who writes the policies sees why with: mayfly policy explain ${decision}`;
}

function denialError(facts: TaskFacts, denied: Denied): BrokerError {
  const { decision, wanted } = denied;
  const { verdict } = decision;
  if (verdict.effect === "permit") {
    return new BrokerError("internal", "a permit was taken for a denial");
  }
  const { role } = wanted.request;
  const shown: JsonObject = {
    decision: decision.id,
    determining_policies: verdict.determining,
    hint: denialHint(verdict, decision.id),
  };
  return new BrokerError("denied", publicExplanation(verdict, facts, role), {
    where: credentialPath(wanted.index),
    public: shown,
  });
}

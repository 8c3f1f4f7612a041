import { BrokerError, workloadName, type JsonObject } from "@mayfly/spec";
import type { CorePorts } from "../ports.ts";
import { credentialPath } from "../descriptor/task-details.ts";
import { publicExplanation } from "./decide.ts";
import type { Denied } from "./judge.ts";
import type { TaskFacts } from "./task-facts.ts";

/** Records every denial durably, then throws `denied` for the first. */
export async function deny(
  ports: CorePorts,
  facts: TaskFacts,
  denied: readonly [Denied, ...Denied[]],
): Promise<never> {
  const workload = workloadName(facts.workload);
  for (const { decision, wanted } of denied) {
    await ports.issueLedger.recordDenial({ decision, workload, role: wanted.request.role });
  }
  throw denialError(facts, denied[0]);
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
    hint: `Ask for a narrower role, or run: mayfly policy explain ${decision.id}`,
  };
  return new BrokerError("denied", publicExplanation(verdict, facts, role), {
    where: credentialPath(wanted.index),
    public: shown,
  });
}

import type { ImpersonationRequest } from "@mayfly/spec";
import { principalOf, text, workloadEntity, type CedarRequest } from "./cedar-request.ts";
import { IMPERSONATION_ACTION } from "./schema.ts";

/** Cedar's type of whom a workload may appear as. */
export const INITIATOR = "Initiator";

/**
 * What is asked of a pair in Cedar's terms, as `IMPERSONATION_SCHEMA` declares them. Throws
 * `InvalidInput` with an end of a sentence for what Cedar could not hold exactly.
 */
export function impersonationRequest(request: ImpersonationRequest): CedarRequest {
  const { workload, initiator, initiatorTrustRoot } = request;
  const resource = { type: INITIATOR, id: text(initiator, "initiator") };
  const attrs = { trust_root: text(initiatorTrustRoot, "initiator's trust root") };
  return {
    principal: principalOf(workload),
    action: { type: "Action", id: IMPERSONATION_ACTION },
    resource,
    context: {},
    entities: [workloadEntity(workload), { uid: resource, attrs, parents: [] }],
  };
}

import fc from "fast-check";
import { parseTrustRootName, type ImpersonationRequest } from "@mayfly/spec";
import { accessRequest, ARBITRARY_WORKLOADS } from "./access-request.ts";

export const ARBITRARY_INITIATORS = [
  "https://login.acme.test#alice",
  "https://login.acme.test#bob",
  "https://login.acme.test#alice2",
] as const;

/** A well-formed request: the invoice bot is to appear as alice. */
export const impersonation = (
  facts: { readonly workload?: string; readonly initiator?: string } = {},
): ImpersonationRequest => ({
  workload: accessRequest({ workload: facts.workload ?? ARBITRARY_WORKLOADS[0] }).workload,
  initiator: facts.initiator ?? ARBITRARY_INITIATORS[0],
  initiatorTrustRoot: parseTrustRootName("login", "root"),
});

export const arbitraryImpersonation: fc.Arbitrary<ImpersonationRequest> = fc
  .record({
    workload: fc.constantFrom(...ARBITRARY_WORKLOADS),
    initiator: fc.constantFrom(...ARBITRARY_INITIATORS),
  })
  .map(impersonation);

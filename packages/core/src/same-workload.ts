import type { Workload } from "@mayfly/spec";

/** The same subject of the same issuer, vouched for by the same trust root. */
export const isSameWorkload = (a: Workload, b: Workload): boolean =>
  a.trustRoot === b.trustRoot &&
  a.kind === b.kind &&
  a.issuer === b.issuer &&
  a.subject === b.subject;

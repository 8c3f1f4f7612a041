import type { LeaseHandle } from "./lease-mark.ts";
import { oidLiteral, quoteLiteral } from "./quote.ts";

/** The OIDs of leases as one array of a statement. */
export const oidsOf = (leases: readonly LeaseHandle[]): string =>
  `ARRAY[${leases.map(({ oid }) => oidLiteral(oid)).join(", ")}]::oid[]`;

/** A table `l` of `oid` and `name`, in the order of the OIDs, which is that of all locks. */
export function leaseTable(leases: readonly LeaseHandle[]): string {
  const sorted = leases.toSorted((a, b) => a.oid - b.oid);
  const names = sorted.map(({ name }) => quoteLiteral(name)).join(", ");
  return `unnest(${oidsOf(sorted)}, ARRAY[${names}]::name[]) AS l (oid, name)`;
}

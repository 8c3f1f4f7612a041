import type { SecurityQueries } from "@mayfly/spec";
import { queryAdministration } from "./query-administration.ts";
import { queryExposure } from "./query-exposure.ts";
import { holdersByFingerprint, holdersByLeaseId, queryHolders } from "./query-holders.ts";
import { queryLateEnds } from "./query-late-ends.ts";
import { queryPolicyUse } from "./query-policy-use.ts";
import { queryTouched } from "./query-touched.ts";
import type { Database } from "./queries.ts";
import { withRetries, type RetryPorts } from "./retry.ts";
import type { Sql } from "./sql.ts";

/** What security teams ask. */
export const securityQueries = (ports: RetryPorts, db: Database, sql: Sql): SecurityQueries => ({
  holders: (filter, page) => withRetries(ports, () => queryHolders(db, filter, page)),
  touched: (filter, page) => withRetries(ports, () => queryTouched(db, filter, page)),
  exposure: (workload) => withRetries(ports, () => queryExposure(sql, workload)),
  lateEnds: (filter, page) => withRetries(ports, () => queryLateEnds(db, filter, page)),
  policyUse: (digest, ids) => withRetries(ports, () => queryPolicyUse(sql, digest, ids)),
  administration: (filter, page) => withRetries(ports, () => queryAdministration(db, filter, page)),
  byFingerprint: (fingerprints, limit) =>
    withRetries(ports, () => holdersByFingerprint(db, fingerprints, limit)),
  byLeaseId: (ids) => withRetries(ports, () => holdersByLeaseId(db, ids)),
});

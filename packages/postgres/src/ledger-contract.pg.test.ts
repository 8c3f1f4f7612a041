import { defaultPostgresVersion, postgresVersionsToTest } from "@mayfly/embedded";
import { describeLedgerContract } from "@mayfly/testkit/contract";
import { postgresSubject, subjectOn } from "./testing/test-ledger.ts";

for (const version of postgresVersionsToTest()) {
  describeLedgerContract(version === defaultPostgresVersion ? postgresSubject : subjectOn(version));
}

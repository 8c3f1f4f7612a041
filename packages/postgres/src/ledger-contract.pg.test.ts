import { describeLedgerContract } from "@mayfly/testkit/contract";
import { postgresSubject } from "./test-ledger.ts";

describeLedgerContract(postgresSubject);

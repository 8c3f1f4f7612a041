import { afterAll, beforeAll, describe } from "vitest";
import { describeAsking } from "./ledger/asking.ts";
import { describeBudgets } from "./ledger/budgets.ts";
import { describeCataloguing } from "./ledger/cataloguing.ts";
import { describeDeciding } from "./ledger/deciding.ts";
import { describeEnding } from "./ledger/ending.ts";
import { describeIssuing } from "./ledger/issuing.ts";
import { describeKeyStoring } from "./ledger/key-storing.ts";
import { describeLogging } from "./ledger/logging.ts";
import { describeNaming } from "./ledger/naming.ts";
import { describeNotingSequences } from "./ledger/noting-sequences.ts";
import { describeProving } from "./ledger/proving.ts";
import { describeQuerying } from "./ledger/querying.ts";
import { describeReadingEnded } from "./ledger/reading-ended.ts";
import { describeRepeating } from "./ledger/repeating.ts";
import { describeSelecting } from "./ledger/selecting.ts";
import { describeServing } from "./ledger/serving.ts";
import type { LedgerContractSubject, LedgerUnderTest } from "./ledger/subject.ts";
import { describeSlots } from "./ledger/slots.ts";
import { describeRecovering } from "./ledger/recovering.ts";
import { describeSweeping } from "./ledger/sweeping.ts";

/**
 * The obligations of a ledger, G1 to G8, K1 to K4, B1 to B5, D1 to D4 and Q1 to Q4, for every
 * implementation. One ledger serves all tests, which therefore look only at what they made
 * themselves.
 */
export function describeLedgerContract(subject: LedgerContractSubject): void {
  describe(`ledger contract: ${subject.name}`, () => {
    let ledger: LedgerUnderTest;
    beforeAll(async () => {
      ledger = await subject.create();
    });
    afterAll(() => ledger.close());
    const ledgerOf = (): LedgerUnderTest => ledger;
    describeIssuing(ledgerOf);
    describeRepeating(ledgerOf);
    describeProving(ledgerOf);
    describeNotingSequences(ledgerOf);
    describeEnding(ledgerOf);
    describeReadingEnded(ledgerOf);
    describeSweeping(ledgerOf);
    describeRecovering(ledgerOf);
    describeQuerying(ledgerOf);
    describeAsking(ledgerOf);
    describeSelecting(ledgerOf);
    describeCataloguing(ledgerOf);
    describeKeyStoring(ledgerOf);
    describeNaming(ledgerOf);
    describeServing(ledgerOf);
    describeDeciding(ledgerOf);
    describeLogging(ledgerOf);
    describeSlots(ledgerOf);
    describeBudgets(ledgerOf);
  });
}

import { createFakeClock } from "../fake-clock.ts";
import { describeLedgerContract } from "../contract/ledger-contract.ts";
import { createMemoryLedger } from "./memory-ledger.ts";

describeLedgerContract({
  name: "memory",
  create: async () => {
    const clock = createFakeClock(Date.now());
    return {
      ...createMemoryLedger(clock),
      now: () => clock.now(),
      pass: (ms) => clock.advance(ms),
      close: async () => undefined,
    };
  },
});

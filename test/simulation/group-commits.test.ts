import { createFakeClock, createMemoryLedger, seededRandom } from "@mayfly/testkit";
import { describeLedgerContract } from "@mayfly/testkit/contract";
import { createGroupCommits, type CommitWorld } from "./group-commits.ts";
import { RowLocks } from "./row-locks.ts";

// What the simulator's histories run on, without their faults, obeys the ledger's contract.
describeLedgerContract({
  name: "memory, behind the real group commit",
  create: async () => {
    const clock = createFakeClock(Date.now());
    const ledger = createMemoryLedger(clock);
    const world: CommitWorld = {
      clock,
      random: seededRandom("group commits"),
      isAlive: () => true,
      pass: async () => undefined,
      strikes: () => false,
      note: () => undefined,
      spoil: (stage) => stage,
    };
    const commits = createGroupCommits(world, ledger, new RowLocks(clock));
    return {
      ...ledger,
      issue: { ...ledger.issue, ...commits.issue },
      sweep: { ...ledger.sweep, settle: commits.settle },
      tasks: { ...ledger.tasks, applyEnd: commits.applyEnd },
      now: () => clock.now(),
      pass: (ms) => clock.advance(ms),
      close: async () => undefined,
    };
  },
});

import { describe, expect, test } from "vitest";
import type { Issued } from "@mayfly/spec";
import { backendErrorOf, revoking, type BackendBench } from "./backend-bench.ts";
import type { ContractUpkeep } from "./backend-contract-subject.ts";

/** U1, of a type whose leases share something upstream. */
export function describeUpkeep(benchOf: () => BackendBench): void {
  describe("upkeep of what leases share", () => {
    test("U1. what went missing is put back, and whoever was not ended goes on", async () => {
      const bench = benchOf();
      const [ended, other] = [await issue(bench), await issue(bench)];
      await endAndLose(bench, ended);
      await upkeep(bench);
      expect(await bench.upstream.tryCredential(ended.material)).toBe("refused");
      expect(await bench.upstream.tryCredential(other.material)).toBe("accepted");
      // Nothing is left to do, and nothing is done.
      await upkeep(bench);
      expect(await bench.upstream.tryCredential(other.material)).toBe("accepted");
    });
    test("U1. where it cannot it throws, and puts it right once it can", async () => {
      const bench = benchOf();
      const ended = await issue(bench);
      await endAndLose(bench, ended);
      const forbidden = await told(bench).forbid();
      try {
        expect((await backendErrorOf(upkeep(bench))).message).not.toBe("");
      } finally {
        await forbidden.restore();
      }
      await upkeep(bench);
      expect(await bench.upstream.tryCredential(ended.material)).toBe("refused");
    });
  });
}

function told({ upstream }: BackendBench): ContractUpkeep {
  if (upstream.upkeep !== undefined) return upstream.upkeep;
  throw new Error("the upstream of a type that looks after something can lose it");
}

async function upkeep(bench: BackendBench): Promise<void> {
  const { open } = bench;
  if (open.upkeep === undefined) throw new Error("a type that looks after something has an upkeep");
  return open.upkeep(bench.call());
}

const issue = (bench: BackendBench): Promise<Issued> =>
  bench.open.issue(bench.plan(), bench.issueCall());

/** What was ended can be used again, as the upstream has lost what ended it. */
async function endAndLose(bench: BackendBench, { handle, material }: Issued): Promise<void> {
  await revoking(bench.open).revoke(handle, bench.call());
  expect(await bench.upstream.tryCredential(material)).toBe("refused");
  await told(bench).lose();
  expect(await bench.upstream.tryCredential(material)).toBe("accepted");
}

import { expect, test } from "vitest";
import type { Session } from "./endpoint.ts";
import { isCovered } from "./role-power.ts";
import { unseenServers } from "./self-check.ts";

/** What a node of Galera answers, which is not run here; other servers have no row or a zero. */
const nodeOf = (size: string | null): Session => ({
  run: async (text) => {
    if (!text.includes("wsrep_cluster_size")) throw new Error(text);
    const rows = size === null ? [] : [{ Variable_name: "wsrep_cluster_size", Value: size }];
    return { rows, changed: 0 };
  },
});

test.each([
  [null, 1, []],
  ["0", 1, []],
  ["2", 2, []],
  ["3", 2, ["cluster_not_supported"]],
] as const)(
  "a cluster of %s is refused where %i are configured: %j",
  async (size, known, codes) => {
    const problems = await unseenServers(nodeOf(size), known);
    expect(problems.map(({ code }) => code)).toEqual(codes);
  },
);

test.each([
  ["*", "*", true],
  ["`mayfly`", "*", true],
  ["`MAYFLY`", "`leases`", true],
  ["`may%`", "*", true],
  ["`mayfl_`", "*", true],
  ["`%`", "*", true],
  ["`mayfl\\_`", "*", false],
  ["`may%`", "`leases`", false],
  ["`may.ly`", "*", false],
  ["`orders`", "*", false],
])("a grant on %s.%s covers the schema mayfly: %s", (database, table, covers) => {
  expect(isCovered("mayfly", database, table)).toBe(covers);
});

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ROOT, run } from "./repository.ts";
import { seededWorkspace, type Seed } from "./seeded-workspace.ts";

const CONFIG = join(ROOT, ".dependency-cruiser.mjs");

const seed = (rule: string, path: string, text: string): Seed => ({ rules: [rule], path, text });

/** For each rule of the fence a file that breaks it and no other. */
const SEEDS: readonly Seed[] = [
  seed("no-circular", "services/worker/src/circle-a.ts", `export * from "./circle-b.ts";`),
  // The other half of the circle, which is reported once.
  { rules: [], path: "services/worker/src/circle-b.ts", text: `export * from "./circle-a.ts";` },
  seed("no-unresolvable", "packages/cli/src/gone.ts", `export * from "./not-there.ts";`),
  seed("spec-imports-nothing", "packages/spec/src/impure.ts", `export * from "node:fs";`),
  seed("core-imports-only-spec", "packages/core/src/impure.ts", `export * from "node:fs";`),
  seed(
    "adapters-import-only-spec",
    "packages/policy/src/knows-queue.ts",
    `export type * from "@mayfly/queue";`,
  ),
  seed(
    "backends-import-only-spec",
    "packages/backend-alpha/src/knows-core.ts",
    `export * from "@mayfly/core";`,
  ),
  seed(
    "no-backend-to-backend",
    "packages/backend-alpha/src/knows-beta.ts",
    `export * from "@mayfly/backend-beta";`,
  ),
  seed(
    "no-backend-to-backend",
    "packages/backend-kit/src/knows-alpha.ts",
    `export * from "@mayfly/backend-alpha";`,
  ),
  seed(
    "only-compose-imports-adapters",
    "services/broker/src/knows-policy.ts",
    `export type { name } from "@mayfly/policy";`,
  ),
  seed(
    "only-compose-imports-adapters",
    "services/worker/src/knows-composition.ts",
    `export * from "@mayfly/composition";`,
  ),
  seed(
    "http-imports-no-adapter",
    "services/broker/src/http/knows-driver.ts",
    `export * from "postgres";`,
  ),
  seed(
    "client-imports-nothing-of-ours",
    "packages/client/src/knows-spec.ts",
    `export * from "@mayfly/spec";`,
  ),
  seed("cli-imports-few-adapters", "packages/cli/src/core.ts", `export * from "@mayfly/core";`),
  seed(
    "services-import-no-service",
    "services/worker/src/knows-broker.ts",
    `export * from "@mayfly/broker";`,
  ),
  seed(
    "testkit-only-from-tests",
    "services/broker/src/uses-fakes.ts",
    `export * from "@mayfly/testkit";`,
  ),
  seed("no-test-in-production", "packages/cli/src/test.ts", `export * from "./some.test.ts";`),
  seed(
    "no-test-in-production",
    "packages/policy/src/arbitrary.ts",
    `export * from "./arbitrary-policy.ts";`,
  ),
  seed(
    "no-deep-import",
    "services/worker/src/deep.ts",
    `export * from "../../../packages/core/src/hidden.ts";`,
  ),
  seed("no-dev-dependency", "services/worker/src/dev.ts", `export * from "only-for-tests";`),
  seed("no-undeclared-dependency", "services/worker/src/root.ts", `export * from "of-the-root";`),
  seed("bootstrap-imports-only-node", "bootstrap/zod.mjs", `export * from "zod";`),
];

interface Cruise {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
    readonly ruleSetUsed: { readonly forbidden: readonly { readonly name: string }[] };
  };
}

async function cruise(cwd: string): Promise<Cruise> {
  const args = ["--config", CONFIG, "--output-type", "json", "packages", "services", "bootstrap"];
  const { output, all } = await run("depcruise", args, { cwd });
  if (!output.startsWith("{")) throw new Error(`dependency-cruiser gave no result: ${all}`);
  // A cast: what is read of it here is compared below, so that another shape fails there.
  return JSON.parse(output) as Cruise;
}

const found = ({ summary }: Cruise): readonly string[] =>
  summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`).toSorted();

describe("the import fence", () => {
  test("holds in this repository, whose modules it sees", async () => {
    const result = await cruise(ROOT);
    const listing = result.summary.violations.map((v) => `${v.rule.name}: ${v.from} → ${v.to}`);
    expect(listing).toEqual([]);
    // With a TypeScript it cannot use, dependency-cruiser sees nothing and exits 0.
    const sources = result.modules.map(({ source }) => source);
    expect(sources.filter((source) => /^packages\/.*\.ts$/.test(source)).length).toBeGreaterThan(
      60,
    );
    expect(sources).toContain("packages/spec/src/index.ts");
    expect(sources).toContain("bootstrap/run.mjs");
  });

  test("finds nothing in a sound workspace, and in a seeded one each rule its seed alone", async () => {
    const sound = await seededWorkspace([]);
    const seeded = await seededWorkspace(SEEDS);
    try {
      expect(found(await cruise(sound.folder))).toEqual([]);

      const result = await cruise(seeded.folder);
      const expected = SEEDS.flatMap(({ rules, path }) => rules.map((rule) => `${rule}: ${path}`));
      expect(found(result)).toEqual(expected.toSorted());

      const rules = result.summary.ruleSetUsed.forbidden.map(({ name }) => name);
      expect(new Set(SEEDS.flatMap((each) => each.rules))).toEqual(new Set(rules));
    } finally {
      await sound.remove();
      await seeded.remove();
    }
  });
});

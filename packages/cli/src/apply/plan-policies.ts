import { relative } from "node:path";
import { createPolicyCompiler, type PolicyTestRole } from "@mayfly/policy";
import { backendOfRole, parseRoleName, type PolicySource, type RoleName } from "@mayfly/spec";
import { z } from "zod";
import { CliError, configError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import { testCatalogue } from "../files/test-catalogue.ts";
import { readTextFile } from "../files/yaml-file.ts";
import { judgeTests, readTests, type JudgedTest } from "../local/test-policies.ts";
import { policyFolder, type ApplyFiles } from "./find-apply-files.ts";

export interface PlannedSource {
  readonly name: string;
  readonly action: "create" | "update" | "delete" | "unchanged" | "keep";
  readonly before: string;
  readonly after: string;
}

export interface PlannedPolicies {
  readonly sources: readonly PlannedSource[];
  /** The whole set that would decide; null where the active one stays as it is. */
  readonly activate: readonly PolicySource[] | null;
  readonly tests: readonly JudgedTest[];
}

/** Policies of one installation are one set: what is in no file stays unless it is pruned. */
export function planPolicies(
  folder: string,
  files: ApplyFiles,
  active: readonly PolicySource[],
  registered: readonly unknown[],
  prune: boolean,
): PlannedPolicies {
  const desired = files.paths.policy.map((path) => ({
    name: relative(policyFolder(folder), path).replaceAll("\\", "/"),
    text: readTextFile(path),
    path,
  }));
  const known = new Map(active.map(({ name, text }) => [name, text]));
  const wanted = new Map(desired.map(({ name, text }) => [name, text]));
  const deletes = prune && files.kinds.has("policy") && desired.length > 0;
  const sources: PlannedSource[] = [
    ...desired.map(({ name, text }): PlannedSource => {
      const before = known.get(name);
      const action = before === undefined ? "create" : before === text ? "unchanged" : "update";
      return { name, action, before: before ?? "", after: text };
    }),
    ...active
      .filter(({ name }) => !wanted.has(name))
      .map(({ name, text }): PlannedSource => {
        return deletes
          ? { name, action: "delete", before: text, after: "" }
          : { name, action: "keep", before: text, after: text };
      }),
  ];
  const result = sources
    .filter(({ action }) => action !== "delete")
    .map(({ name, after }) => ({ name, text: after }));
  const changes = sources.some(({ action }) => action !== "keep" && action !== "unchanged");
  const paths = new Map(desired.map(({ name, path }) => [name, path]));
  const tests = runTests(files, result, paths, registered);
  return { sources, activate: changes ? result : null, tests };
}

/** Run on the set as it would be, also where only roles change: they are what tests are about. */
function runTests(
  files: ApplyFiles,
  sources: readonly PolicySource[],
  paths: ReadonlyMap<string, string>,
  registered: readonly unknown[],
): readonly JudgedTest[] {
  if (sources.length === 0) {
    const [test] = files.paths.test;
    if (test === undefined) return [];
    throw configError("There are tests, and no policy that they could test.", test);
  }
  const compiled = createPolicyCompiler().compile(sources);
  if (!compiled.ok) {
    const [problem] = compiled.problems;
    const path = paths.get(problem?.source ?? "") ?? problem?.source ?? "policies";
    const line = problem?.line === null || problem === undefined ? "" : `:${problem.line}`;
    const more = compiled.problems.length - 1;
    throw new CliError({
      code: "config_invalid",
      what: `The policies do not compile: ${problem?.message ?? ""}${more > 0 ? ` (and ${more} more)` : ""}`,
      where: `${path}${line}`,
      todo: "Correct it; `mayfly policy check FOLDER` names every problem.",
      exit: EXIT.config,
    });
  }
  const tests = files.paths.test.map(readTests);
  const all = tests.flatMap((file) => file.tests);
  const catalogue = new Map([
    ...registered.flatMap(registeredRole),
    ...testCatalogue(files.paths.role, files.paths.backend, all),
  ]);
  return judgeTests(compiled.engine, tests, catalogue);
}

const roleShape = z.looseObject({
  role: z.string(),
  ttl_max_seconds: z.number(),
  data_class: z.enum(["public", "internal", "confidential", "restricted"]),
  reversibility: z.enum(["read_only", "reversible", "irreversible"]),
  environment: z.string(),
});

/** A role that is registered and in no file: tests may name it all the same. */
function registeredRole(answer: unknown): readonly (readonly [RoleName, PolicyTestRole])[] {
  const parsed = roleShape.safeParse(answer);
  if (!parsed.success) return [];
  const name = parseRoleName(parsed.data.role, "role");
  const role = {
    name,
    backendId: backendOfRole(name),
    backendType: "unknown",
    dataClass: parsed.data.data_class,
    reversibility: parsed.data.reversibility,
    environment: parsed.data.environment,
  };
  return [[name, { role, ttlSecondsMax: parsed.data.ttl_max_seconds, grant: {} }]];
}

import type { Command } from "commander";
import {
  createPolicyCompiler,
  parsePolicyTests,
  runPolicyTests,
  type CedarPolicyEngine,
  type PolicyTest,
  type PolicyTestResult,
} from "@mayfly/policy";
import { BrokerError, type PolicySource } from "@mayfly/spec";
import { configError, usageError } from "../cli-error.ts";
import { findPolicyFiles } from "../files/policy-files.ts";
import { testCatalogue } from "../files/test-catalogue.ts";
import { pathOfPlace, readYamlFile } from "../files/yaml-file.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Session } from "../session.ts";
import { examples } from "./examples.ts";

/** `policy check` and `policy test`: on files alone, without a broker. */
export function policyFileCommands(policy: Command, open: (command: Command) => Session): void {
  policy
    .command("check")
    .description("compile policies as the broker would, and say where one is wrong")
    .argument("<path...>", "*.cedar files, or folders that hold them")
    .addHelpText("after", examples("mayfly policy check mayfly/policies"))
    .action((paths: string[], _options: object, command: Command) => {
      const session = open(command);
      const engine = compile(session, findPolicyFiles(paths).sources);
      if (engine === null) return;
      const { digest, policyIds } = engine;
      if (session.json) session.record({ ok: true, digest, policies: policyIds });
      else session.note(`${policyIds.length} policies, policies@${digest.slice(0, 8)}`);
    });
  policy
    .command("test")
    .description("run *.test.yaml against the policies beside them")
    .argument("<path...>", "*.cedar and *.test.yaml files, or folders that hold them")
    .option("--roles <path...>", "roles/*.yaml to take facts from, besides those found")
    .addHelpText(
      "after",
      `
A role's facts come from roles/*.yaml in or beside the folder, its backend's type from
backends/*.yaml. A test may override them with role_facts. A policy that reads the grant is
tested with a grant: in the test, since no backend is asked.
${examples("mayfly policy test mayfly", "mayfly policy test a.cedar a.test.yaml --json")}`,
    )
    .action((paths: string[], options: { roles?: string[] }, command: Command) =>
      testPolicies(open(command), paths, options.roles ?? []),
    );
}

/** Null when they do not compile: then the problems are out, and the run has failed. */
function compile(session: Session, sources: readonly PolicySource[]): CedarPolicyEngine | null {
  const compiled = createPolicyCompiler().compile(sources);
  if (compiled.ok) return compiled.engine;
  session.found();
  for (const problem of compiled.problems) {
    if (session.json) {
      session.record({ ok: false, ...problem });
      continue;
    }
    const line = problem.line === null ? "" : `:${problem.line}`;
    const place = problem.source === "" ? "" : `${problem.source}${line}  `;
    const id = problem.policyId === null ? "" : `${problem.policyId}: `;
    session.text(`${session.paint.red("✗")} ${cleanText(place + id + problem.message)}\n`);
  }
  return null;
}

interface TestFile {
  readonly file: string;
  readonly tests: readonly PolicyTest[];
  /** `file:line` of each. */
  readonly places: readonly string[];
}

function testPolicies(session: Session, paths: readonly string[], roles: readonly string[]): void {
  const files = findPolicyFiles(paths);
  const tested = files.tests.map(readTests);
  if (tested.every(({ tests }) => tests.length === 0)) {
    throw usageError(
      "There is no test in what you named.",
      "Write one beside the policies, in a file that ends in .test.yaml.",
      paths.join(" "),
    );
  }
  const engine = compile(session, files.sources);
  if (engine === null) return;
  const all = tested.flatMap(({ tests }) => tests);
  const catalogue = testCatalogue([...files.roles, ...roles], files.backends, all);
  let [passed, failed] = [0, 0];
  for (const { file, tests, places } of tested) {
    for (const [at, result] of runPolicyTests(engine, tests, catalogue).entries()) {
      if (result.passed) passed++;
      else failed++;
      report(session, file, places[at] ?? file, result);
    }
  }
  if (failed > 0) session.found();
  session.note(`${passed} passed, ${failed} failed`);
}

function readTests(file: string): TestFile {
  const [document, ...more] = readYamlFile(file);
  if (document === undefined) return { file, tests: [], places: [] };
  if (more.length > 0) throw configError("A test file holds one list of tests.", file);
  try {
    const tests = parsePolicyTests(document.value);
    return { file, tests, places: tests.map((_, at) => document.placeOf([at])) };
  } catch (error) {
    if (!BrokerError.is(error)) throw error;
    const place = document.placeOf(pathOfPlace(error.where ?? ""));
    throw configError(error.message, place, "Correct the test.");
  }
}

function report(session: Session, file: string, place: string, result: PolicyTestResult): void {
  const { name, passed, differences, verdict } = result;
  if (session.json) return session.record({ file, name, passed, differences, verdict });
  const { paint } = session;
  if (passed) {
    if (!session.quiet) session.text(`${paint.green("✓")} ${cleanText(name)}\n`);
    return;
  }
  session.text(`${paint.red("✗")} ${cleanText(name)}  ${paint.dim(place)}\n`);
  for (const difference of differences) session.text(`    ${cleanText(difference)}\n`);
}

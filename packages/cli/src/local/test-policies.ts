import {
  parsePolicyTests,
  runPolicyTests,
  type PolicyTest,
  type PolicyTestResult,
} from "@mayfly/policy";
import { BrokerError } from "@mayfly/spec";
import { configError, usageError } from "../cli-error.ts";
import { findPolicyFiles } from "../files/policy-files.ts";
import { testCatalogue } from "../files/test-catalogue.ts";
import { pathOfPlace, readYamlFile } from "../files/yaml-file.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Session } from "../session.ts";
import { compilePolicies } from "./check-policies.ts";

interface TestFile {
  readonly file: string;
  readonly tests: readonly PolicyTest[];
  /** `file:line` of each. */
  readonly places: readonly string[];
}

/** `policy test`: N passed, N failed. */
export function testPolicies(
  session: Session,
  paths: readonly string[],
  roles: readonly string[],
): void {
  const files = findPolicyFiles(paths);
  const tested = files.tests.map(readTests);
  if (tested.every(({ tests }) => tests.length === 0)) {
    throw usageError(
      "There is no test in what you named.",
      "Write one beside the policies, in a file that ends in .test.yaml.",
      paths.join(" "),
    );
  }
  const engine = compilePolicies(session, files.sources);
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

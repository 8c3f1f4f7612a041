import {
  parsePolicyTests,
  runPolicyTests,
  type PolicyTest,
  type PolicyTestCatalogue,
  type PolicyTestResult,
} from "@mayfly/policy";
import { BrokerError, type PolicyEngine } from "@mayfly/spec";
import { configError, usageError } from "../cli-error.ts";
import { findPolicyFiles } from "../files/policy-files.ts";
import { testCatalogue } from "../files/test-catalogue.ts";
import { pathOfPlace, readYamlFile } from "../files/yaml-file.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Session } from "../session.ts";
import { compilePolicies } from "./check-policies.ts";

export interface TestFile {
  readonly file: string;
  readonly tests: readonly PolicyTest[];
  /** `file:line:column` of each. */
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
  const compiled = compilePolicies(session, files.sources);
  if (compiled === null) return;
  const { engine } = compiled;
  const all = tested.flatMap(({ tests }) => tests);
  const catalogue = testCatalogue([...files.roles, ...roles], files.backends, all);
  const judged = judgeTests(engine, tested, catalogue);
  for (const each of judged) report(session, each);
  const failed = judged.filter(({ result }) => !result.passed).length;
  if (failed > 0) session.found();
  session.note(`${judged.length - failed} passed, ${failed} failed`);
}

export interface JudgedTest {
  readonly file: string;
  /** `file:line:column` */
  readonly place: string;
  readonly result: PolicyTestResult;
}

export const judgeTests = (
  engine: PolicyEngine,
  files: readonly TestFile[],
  catalogue: PolicyTestCatalogue,
): readonly JudgedTest[] =>
  files.flatMap(({ file, tests, places }) =>
    runPolicyTests(engine, tests, catalogue).map((result, at) => ({
      file,
      place: places[at] ?? file,
      result,
    })),
  );

export function readTests(file: string): TestFile {
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

function report(session: Session, { file, place, result }: JudgedTest): void {
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

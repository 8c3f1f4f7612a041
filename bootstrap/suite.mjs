import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { runChild } from "./run-child.mjs";

/**
 * @typedef {object} TestResult
 * @property {string} status
 * @property {string} [fullName]
 * @property {string[]} [failureMessages] of each try that failed, also where a later one passed
 * @typedef {{ name: string, status: string, assertionResults: TestResult[] }} FileResult
 * @typedef {{ success: boolean, testResults: FileResult[] }} Report vitest's JSON report
 * @typedef {{ passed: number, failed: number, skipped: number } & Named} Count
 * @typedef {{ notes: string[], again: string[] }} Named
 */

/**
 * Runs the suite, then prints its count alone on the last line.
 *
 * @param {{ root: string, node: string, env: NodeJS.ProcessEnv, args: readonly string[] }} run
 * @returns {Promise<number>} the exit code: 0 only when at least one test ran and none failed
 */
export async function runSuite({ root, node, env, args }) {
  const folder = join(root, ".mayfly", "reports");
  await mkdir(folder, { recursive: true });
  const report = join(folder, `vitest-${process.pid}.json`);
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  try {
    const code = await runChild(node, [vitest, "run", ...reporters, ...args], {
      cwd: root,
      env,
      // Vitest ends on SIGTERM without its workers, which may hold servers.
      wholeGroup: true,
    });
    const count = countOf(await readReport(report), code);
    console.log("");
    for (const name of count.again) console.log(`  ! passed at its second try: ${name}`);
    for (const note of count.notes) console.log(`  ✗ ${note}`);
    console.log(formatCount(count));
    return count.failed > 0 ? code || 1 : 0;
  } finally {
    await rm(report, { force: true });
  }
}

/**
 * Counts from the report, never from the text on the terminal. What fails outside of any test (a
 * file that cannot be loaded, an unhandled rejection, no test at all) is counted as one failure and
 * named in a note, so that no broken run ends with "0 failed".
 *
 * @param {Report | undefined} report
 * @param {number} code vitest's exit code
 * @returns {Count}
 */
export function countOf(report, code) {
  const files = report?.testResults ?? [];
  const tests = files.flatMap((file) => file.assertionResults);
  /** @param {string} status */
  const having = (status) => tests.filter((test) => test.status === status).length;
  const passed = having("passed");
  const failedTests = having("failed");
  const notes = files
    .filter((file) => file.status === "failed" && !file.assertionResults.some(isFailed))
    .map((file) => `${file.name} failed outside of its tests`);
  if (report === undefined) notes.push(`vitest wrote no report (exit code ${code})`);
  else if (passed + failedTests + notes.length === 0) notes.push("no test ran");
  if (failedTests + notes.length === 0 && (code !== 0 || report?.success !== true)) {
    notes.push(`vitest failed outside of the tests (exit code ${code}); see its output above`);
  }
  const failed = failedTests + notes.length;
  const again = tests
    .filter(({ status, failureMessages = [] }) => status === "passed" && failureMessages.length > 0)
    .map(({ fullName = "a test without a name" }) => fullName);
  return { passed, failed, skipped: tests.length - passed - failedTests, notes, again };
}

/**
 * @param {Count} count
 * @returns {string} `N passed, N failed`, and `, N skipped` if any
 */
export const formatCount = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;

/** @param {TestResult} test */
const isFailed = (test) => test.status === "failed";

/**
 * @param {string} path
 * @returns {Promise<Report | undefined>}
 */
async function readReport(path) {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

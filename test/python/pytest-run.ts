import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startGuarded } from "@mayfly/embedded";
import { PACKAGE } from "./python-environment.ts";

/** One pytest case, as `tests/conftest.py` reports it when it is over. */
export interface PytestCase {
  readonly id: string;
  readonly outcome: "passed" | "failed";
  /** What pytest would print of a failure. */
  readonly text: string;
}

export interface PytestRun {
  /** pytest's own exit code: 0 all passed, 1 some failed, anything else is a crash. */
  readonly code: number | null;
  readonly output: string;
  readonly cases: ReadonlyMap<string, PytestCase>;
}

type Environment = Readonly<Record<string, string>>;

/** The ids of all cases, without running one. Throws with pytest's words when it cannot say. */
export async function collectCases(python: string): Promise<readonly string[]> {
  const { code, output } = await pytest(python, ["--collect-only", "--quiet"], {});
  const ids = output.split("\n").filter((line) => /^tests\/\S+\.py::/.test(line));
  if (code === 0 && ids.length > 0) return ids;
  throw new Error(`pytest found no cases (exit code ${code}):\n${output}`);
}

/** Runs all cases; what became of each is read from the report and never from the output. */
export async function runCases(
  python: string,
  folder: string,
  environment: Environment,
): Promise<PytestRun> {
  const report = join(folder, "report.jsonl");
  const { code, output } = await pytest(python, ["--color=no"], {
    ...environment,
    MAYFLY_TEST_REPORT: report,
  });
  const text = await readFile(report, "utf8").catch(() => "");
  const cases = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => parseCase(JSON.parse(line)));
  return { code, output, cases: new Map(cases.map((one) => [one.id, one])) };
}

async function pytest(
  python: string,
  args: readonly string[],
  environment: Environment,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const lines: string[] = [];
  const { PATH = "", HOME = "", SSL_CERT_FILE, PIP_CERT, PIP_INDEX_URL } = process.env;
  const guarded = await startGuarded({
    command: "/bin/sh",
    args: ["-c", 'cd "$1" && shift && exec "$@"', "sh", PACKAGE, python, "-m", "pytest", ...args],
    parentDeathSignal: "KILL",
    user: undefined,
    env: {
      PATH,
      HOME,
      PYTHONPATH: "src",
      PYTHONDONTWRITEBYTECODE: "1",
      // How pip reaches its registry is the machine's business.
      ...(SSL_CERT_FILE === undefined ? {} : { SSL_CERT_FILE }),
      ...(PIP_CERT === undefined ? {} : { PIP_CERT }),
      ...(PIP_INDEX_URL === undefined ? {} : { PIP_INDEX_URL }),
      ...environment,
    },
    input: undefined,
    log: (line) => lines.push(line),
  });
  const { code } = await guarded.exited;
  return { code, output: lines.join("\n") };
}

function parseCase(value: unknown): PytestCase {
  if (typeof value === "object" && value !== null && "id" in value && "outcome" in value) {
    const { id, outcome } = value;
    const text = "text" in value ? String(value.text) : "";
    if (typeof id === "string" && (outcome === "passed" || outcome === "failed")) {
      return { id, outcome, text };
    }
  }
  throw new Error(`no case of pytest: ${JSON.stringify(value)}`);
}

import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Six projects, because they need different things from a process.
 *
 * | project     | files                                       | process                           |
 * | ----------- | ------------------------------------------- | --------------------------------- |
 * | unit        | beside their source; simulation: no server  | shared, no isolation (20x faster) |
 * | integration | `*.pg|redis|server.test.ts`                 | one each, real servers            |
 * | paired      | `test/`: of which nothing is timed          | the same, three files at once     |
 * | system      | `test/`: the rest, killed and timed         | the same, one file at a time      |
 * | tidy        | `test/tidy`: rules of the repository        | one each, they start linters      |
 * | replay      | `test/replay`, but for `*.pg.test.ts`       | waits for one beside all others   |
 *
 * A test that keeps module state or patches a global belongs in `integration` or `system`.
 */
const onePostgres = "./packages/testkit/src/vitest/global-setup.ts";
const servers = ["**/*.pg.test.ts", "**/*.redis.test.ts", "**/*.server.test.ts"];
const never = ["**/node_modules/**", "**/dist/**", "**/.mayfly/**", "**/__fixtures__/**"];

const wholeSystem = [onePostgres, "./test/harness/bundled-programs.ts"];
function inFolder(name: string): string {
  return `test/${name}/**/*.test.ts`;
}
/** Of these nobody is killed at an instant, or has to be done by one. */
const paired = [
  "test/crash/pool.test.ts",
  "test/documents/pages.test.ts",
  ...["backends", "bootstrap", "canary", "cli", "client", "conformance", "fuzz"].map(inFolder),
  ...["operations", "parsers", "python", "runbooks"].map(inFolder),
];
/**
 * Of whole servers and processes beside one another: what is late on a busy machine, or finds a
 * port taken, gets a second try, and the suite's last lines name it. Not so what looks for leaks
 * after a kill or a freeze, is fuzzed or searched for secrets (`system`, and `retry: 0` where it
 * stands): of a leak that shows itself once, once is enough.
 */
const SECOND_TRY = { retry: 1 };
const notSystem = ["tidy", "simulation", "replay"].map((folder) => `test/${folder}/**`);

/**
 * What takes longest of a project, as CI has it. Begun last, one of these would keep the run
 * waiting alone; a file's size, by which files are ordered otherwise, says little of it.
 */
const LONGEST = [
  "packages/postgres/src/ledger-contract.pg.test.ts",
  "packages/backend-postgres/src/postgres-contract.pg.test.ts",
  "packages/cli/src/commands/migrate-command.pg.test.ts",
  "packages/backend-kit/src/pooled-contract.pg.test.ts",
  "test/documents/pages.test.ts",
  "test/python/python-client.test.ts",
  "test/backends/certificates.test.ts",
  "test/backends/kills.test.ts",
  "test/backends/every-type.test.ts",
  "test/backends/one-down.test.ts",
  "test/backends/one-task.test.ts",
  "test/backends/waits.test.ts",
  "test/backends/crowd.test.ts",
  "test/fuzz/fuzz.test.ts",
  "test/simulation/simulation.test.ts",
];

/** Each project in its turn, as ever; within it what takes longest comes first. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((path) => moduleId.endsWith(`/${path}`));
      return at === -1 ? LONGEST.length : at;
    };
    const turn = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => turn(a) - turn(b) || rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    // What the smallest machine that runs the suite (2 cores) bears: of most files a good part is
    // waiting, for a time that has to pass or for a server.
    maxWorkers: 3,
    // What tests make dies young; with room to, a third less of the time goes to collecting it.
    execArgv: ["--max-semi-space-size=64", "--expose-gc"],
    sequence: { sequencer: LongestFirst },
    // Of `concurrent` tests in one file: crash tests wait most of their time, for times to pass.
    maxConcurrency: 12,
    // A CI machine under load is ten times slower than a quiet one; a hang is caught all the same.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Vitest's own patience is a second.
    expect: { poll: { timeout: 15_000 } },
    experimental: { viteModuleRunner: false, nodeLoader: false },
    passWithNoTests: false,
    allowOnly: false,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: [
            "packages/*/src/**/*.test.ts",
            "services/*/src/**/*.test.ts",
            "test/simulation/**/*.test.ts",
          ],
          exclude: [...never, ...servers],
          isolate: false,
          pool: "forks",
          // These wait for nothing.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: servers.flatMap((name) =>
            ["packages/*/src", "services/*/src", "test/replay"].map((at) => `${at}/${name}`),
          ),
          exclude: never,
          pool: "forks",
          globalSetup: onePostgres,
          ...SECOND_TRY,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "paired",
          include: paired,
          exclude: never,
          pool: "forks",
          globalSetup: wholeSystem,
          ...SECOND_TRY,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "system",
          include: ["test/**/*.test.ts"],
          exclude: [...never, ...notSystem, ...paired],
          pool: "forks",
          globalSetup: wholeSystem,
          // Whole processes are started, killed and timed here: never two files at once. Two
          // saturate two cores, and each is then several times slower. And who looks for leaks on
          // the server that all share would find those that `leaks.test.ts` plants.
          maxWorkers: 1,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "tidy",
          include: ["test/tidy/**/*.test.ts"],
          exclude: never,
          pool: "forks",
          // Linters and compilers have threads of their own.
          maxWorkers: 2,
          // The type-aware linter takes 20 s alone, and minutes on a busy machine.
          testTimeout: 300_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: "replay",
          include: ["test/replay/**/*.test.ts"],
          exclude: [...never, ...servers],
          pool: "forks",
          globalSetup: "./test/replay/background-replay.ts",
          testTimeout: 1_500_000,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});

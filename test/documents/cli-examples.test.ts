import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { createTestTrustDomain } from "@mayfly/testkit";
import { isInstalled } from "@mayfly/testkit/vitest";
import { read } from "../tidy/repository.ts";
import { EXAMPLE_FILES, SET_UP } from "./cli-examples-scene.ts";
import { startScenario, type Scenario } from "./scenario.ts";

/**
 * Every example of the help of every command, as `docs/cli.md` has them, typed in a terminal in the
 * order of the page. Ids that it shortens (`task_0199…`) become real ones; questions are answered
 * with `y`.
 */
const EXAMPLES = [...read("docs/cli.md").matchAll(/^ {2}\$ (.+)$/gm)].flatMap(
  ([, example]) => example ?? [],
);

/** Not run here, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "pbpaste | mayfly trace": "only macOS has pbpaste",
  "mayfly dev": "it stays up; every page's commands run against it",
  "mayfly dev --demo-workloads": "it stays up; every page's commands run against it",
  "mayfly migrate --password-file mayfly_broker=/run/secrets/broker":
    "it would give the running broker's role another password",
};
/** Rightly not 0, in the state in which the examples before them leave things. */
const ENDS_OTHERWISE: Readonly<Record<string, number>> = {
  // What is typed there, "y", is nothing of ours.
  "mayfly trace": 1,
  // The ledger of the examples has fewer entries.
  "mayfly ledger verify --from 18201 --via broker --json": 1,
  // The examples before it have deleted the last trust root, and that is a finding.
  "mayfly doctor": 1,
  // It still has a role.
  "mayfly backend delete orders-db": 4,
};

const hasTools = (await Promise.all([isInstalled("psql"), isInstalled("jq")])).every(Boolean);
const TIMEOUT_MS = 60_000;
let scenario: Scenario;
let ids: Readonly<Record<string, string>> = {};
/** The migrator's, for the commands that work on the ledger's database itself. */
let databaseUrl = "";
let tokenFile = "";
/** Others take the way over the broker where no database is named. */
const ON_DATABASE = /^mayfly (?:ledger (?:retain|erase|salt)|migrate|admin-token)/;

beforeAll(async () => {
  if (!hasTools) return;
  scenario = await startScenario("dev");
  const bundle = createTestTrustDomain({
    clock: systemClock,
    audience: "http://127.0.0.1:8420",
    trustDomain: "acme.test",
  }).bundle();
  const trust = {
    trust: "acme.test",
    kind: "spiffe",
    config: { trust_domain: "acme.test", bundle },
  };
  const files = { ...EXAMPLE_FILES, "mayfly/trust/acme.test.yaml": JSON.stringify(trust) };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(scenario.folder, path)), { recursive: true });
    writeFileSync(join(scenario.folder, path), text, { mode: 0o755 });
  }
  const { status, stdout, stderr } = run("bash", ["-eu", "set-up.sh"]);
  if (status !== 0) throw new Error(`the scene could not be set: ${stdout}${stderr}`);
  const url = new URL(readFileSync(join(scenario.folder, ".mayfly/dev/postgres-url"), "utf8"));
  url.pathname = "/mayfly";
  databaseUrl = url.href;
  tokenFile = scenario.env["MAYFLY_ADMIN_TOKEN_FILE"] ?? "";
  ids = JSON.parse(stdout.slice(stdout.lastIndexOf("\n{"))) as Readonly<Record<string, string>>;
}, 120_000);
afterAll(() => scenario?.[Symbol.asyncDispose]());

const run = (program: string, args: readonly string[], own: NodeJS.ProcessEnv = {}) =>
  spawnSync(program, args, {
    cwd: scenario.folder,
    env: { ...scenario.env, ...SET_UP, ...own },
    input: "y\n",
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
/** In a terminal of its own: what asks before it acts shall ask. */
const inTerminal = (command: string, own: NodeJS.ProcessEnv) =>
  run("script", ["-qefc", `bash -c ${quoted(command)}`, "/dev/null"], own);

test("each exception is an example", () => {
  expect(EXAMPLES.length).toBeGreaterThan(60);
  const exceptions = [...Object.keys(NOT_RUN), ...Object.keys(ENDS_OTHERWISE)];
  expect(exceptions.filter((name) => !EXAMPLES.includes(name))).toEqual([]);
});

test.skipIf(!hasTools).each(EXAMPLES.filter((example) => NOT_RUN[example] === undefined))(
  "$ %s",
  { timeout: TIMEOUT_MS + 10_000 },
  (example) => {
    const command = example
      .replaceAll("Zm9v…", ids["kid"] ?? "")
      .replaceAll("9f2c…", ids["digest"] ?? "")
      .replaceAll("/archive/mayfly", join(scenario.own, "archive"))
      .replaceAll("postgres://postgres@db/mayfly", databaseUrl)
      .replaceAll(/\b(task|lease|dec|end)_0199…/g, (short, kind: string) => ids[kind] ?? short);
    const { status, stdout } = inTerminal(command, {
      MAYFLY_ADMIN_TOKEN_FILE: tokenFile,
      ...(ON_DATABASE.test(example) ? { MAYFLY_DATABASE_URL: databaseUrl } : {}),
    });
    if (example.endsWith("> token")) tokenFile = join(scenario.folder, "token");
    expect(status, `${command}\n${stdout}`).toBe(ENDS_OTHERWISE[example] ?? 0);
  },
);

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { createTestTrustDomain } from "@mayfly/testkit";
import { isInstalled } from "@mayfly/testkit/vitest";
import { DEV_PORTS_MS_MAX } from "../harness/index.ts";
import { read } from "../tidy/repository.ts";
import { EXAMPLE_FILES, SET_UP } from "./cli-examples-scene.ts";
import { JSON_COMMANDS, NO_IDS_WITH_QUIET, NO_JSON_KEPT } from "./json-commands.ts";
import { changesOf, merged, shapeOf, type Shape } from "./json-shape.ts";
import { inTerminal } from "./in-terminal.ts";
import { runInProcess, type Ran } from "./run-in-process.ts";
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
  "mayfly ledger export --follow --from 18201 | to-siem": "it stays up, and to-siem is no program",
  "mayfly backend add postgres orders-db":
    "it asks more than one thing; test/cli answers it in a terminal",
  "mayfly role add orders-db/writer": "as backend add",
  "mayfly backend rotate orders-db":
    "it would give the examples' database another password; packages/cli tests it",
  "mayfly migrate --password-file mayfly_broker=/run/secrets/broker":
    "it would give the running broker's role another password",
};
/** Rightly not 0, in the state in which the examples before them leave things. */
const ENDS_OTHERWISE: Readonly<Record<string, number>> = {
  // What is typed there, "y", is nothing of ours.
  "mayfly trace": 1,
  // What they select, nobody holds there.
  "mayfly task kill --workload spiffe://acme.test/agent/invoice-bot --dry-run": 1,
  "mayfly task kill --trust-domain acme.test --look 10s --yes": 1,
  "mayfly lease end --workload spiffe://acme.test/agent/invoice-bot --dry-run": 1,
  "mayfly lease end --backend orders-db --role orders-db/writer --yes": 1,
  // The ledger of the examples has fewer entries.
  "mayfly ledger verify --from 18201 --via broker --json": 1,
  // There is nothing at that address.
  "mayfly trust add realm --preset keycloak --issuer https://login.acme.test/realms/pay": 1,
  // The examples before it have deleted the last trust root, and that is a finding.
  "mayfly doctor": 1,
  // It still has a role.
  "mayfly backend delete orders-db": 4,
};

/** To what else it is that asks. */
const ANSWERS: Readonly<Record<string, string>> = {
  "mayfly exec --role orders-db/reader -- psql": "\\q\n",
};

const hasTools = (await Promise.all([isInstalled("psql"), isInstalled("jq")])).every(Boolean);
const TIMEOUT_MS = 240_000;
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
}, DEV_PORTS_MS_MAX + 300_000);
afterAll(() => scenario?.[Symbol.asyncDispose]());

const run = (program: string, args: readonly string[], own: NodeJS.ProcessEnv = {}) =>
  spawnSync(program, args, {
    cwd: scenario.folder,
    env: { ...scenario.env, ...SET_UP, ...own },
    input: "y\n",
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
/** One of {@link JSON_COMMANDS}, with its placeholders filled in. */
function typed(line: string, ...more: readonly string[]): Promise<Ran> {
  const places: Readonly<Record<string, string | undefined>> = {
    TASK: ids["task"],
    LEASE: ids["lease"],
    DECISION: ids["dec"],
    END: ids["end"],
    DIGEST: ids["digest"],
    SPARE_TASK: ids["spare_task"],
    SPARE_LEASE: ids["spare_lease"],
  };
  const { MAYFLY_IDENTITY_FILE: _, ...environment } = { ...scenario.env, ...SET_UP };
  return runInProcess([...line.split(" ").map((word) => places[word] ?? word), ...more], {
    folder: scenario.folder,
    environment: {
      ...environment,
      ...(ON_DATABASE.test(`mayfly ${line}`) ? { MAYFLY_DATABASE_URL: databaseUrl } : {}),
    },
    input: readFileSync(join(scenario.folder, "leaked.txt"), "utf8"),
  });
}

/** What a command prints with `--json`, line by line, as one shape. */
async function shapePrinted(line: string): Promise<Shape> {
  const { out, err } = await typed(line, "--json");
  if (out.trim() === "") throw new Error(`mayfly ${line} --json printed nothing: ${err}`);
  const records = out.trim().split("\n");
  return records.map((one) => shapeOf(JSON.parse(one))).reduce((all, each) => merged(all, each));
}

const KEPT_SHAPES = "json-shapes.json";

test("each command's JSON is kept, or it is said why not", () => {
  const commands = [...read("docs/cli.md").matchAll(/^## mayfly (.+)$/gm)].map(([, name]) => name);
  const isKnown = (name = ""): boolean =>
    name in NO_JSON_KEPT || JSON_COMMANDS.some((line) => `${line} `.startsWith(`${name} `));
  expect(commands.length).toBeGreaterThan(50);
  expect(commands.filter((name) => !isKnown(name))).toEqual([]);
});

test.skipIf(!hasTools)(
  "what a command prints with --json keeps its members and their types",
  { timeout: TIMEOUT_MS + 10_000 },
  async () => {
    const place = join(import.meta.dirname, KEPT_SHAPES);
    const kept = JSON.parse(readFileSync(place, "utf8")) as Readonly<Record<string, Shape>>;
    const next: Record<string, Shape> = {};
    const changes: string[] = [];
    for (const line of JSON_COMMANDS) {
      const found = await shapePrinted(line);
      const before = kept[line];
      next[line] = before === undefined ? found : merged(before, found);
      const differ = before === undefined ? ["all of it is new"] : changesOf(before, found);
      changes.push(...differ.map((what) => `mayfly ${line} --json: ${what}`));
    }
    // What is new is kept by that file. What is gone or of another type breaks its readers.
    if (process.env["KEEP_JSON_SHAPES"] === "yes") {
      writeFileSync(place, `${JSON.stringify(next, null, 2)}\n`);
    }
    expect(changes, `stable API; what is new: KEEP_JSON_SHAPES=yes writes ${KEPT_SHAPES}`).toEqual(
      [],
    );
  },
);

test.skipIf(!hasTools)(
  "with -q each command prints ids or nothing",
  { timeout: TIMEOUT_MS + 10_000 },
  async () => {
    const others: string[] = [];
    for (const line of JSON_COMMANDS.filter((each) => !each.startsWith("ledger export"))) {
      if (NO_IDS_WITH_QUIET.some((name) => line.startsWith(name))) continue;
      const { out } = await typed(line, "-q");
      const words = out.split("\n").filter((text) => !/^\S*$/.test(text));
      others.push(...words.map((text) => `mayfly ${line} -q: ${text}`));
    }
    expect(others).toEqual([]);
  },
);

test("each exception is an example", () => {
  expect(EXAMPLES.length).toBeGreaterThan(60);
  const exceptions = [NOT_RUN, ENDS_OTHERWISE, ANSWERS].flatMap((each) => Object.keys(each));
  expect(exceptions.filter((name) => !EXAMPLES.includes(name))).toEqual([]);
});

test.skipIf(!hasTools).each(EXAMPLES.filter((example) => NOT_RUN[example] === undefined))(
  "$ %s",
  { timeout: TIMEOUT_MS + 10_000 },
  async (example) => {
    const command = example
      .replaceAll("Zm9v…", ids["kid"] ?? "")
      .replaceAll("9f2c…", ids["digest"] ?? "")
      .replaceAll("/archive/mayfly", join(scenario.own, "archive"))
      .replaceAll("postgres://postgres@db/mayfly", databaseUrl)
      .replaceAll(/\b(task|lease|dec|end)_0199…/g, (short, kind: string) => ids[kind] ?? short);
    const { status, output } = await inTerminal({
      text: command,
      folder: scenario.folder,
      env: {
        ...scenario.env,
        ...SET_UP,
        MAYFLY_ADMIN_TOKEN_FILE: tokenFile,
        ...(ON_DATABASE.test(example) ? { MAYFLY_DATABASE_URL: databaseUrl } : {}),
      },
      answer: ANSWERS[example] ?? "y\n",
      msMax: TIMEOUT_MS,
    });
    if (example.endsWith("> token")) tokenFile = join(scenario.folder, "token");
    expect(status, `${command}\n${output}`).toBe(ENDS_OTHERWISE[example] ?? 0);
  },
);

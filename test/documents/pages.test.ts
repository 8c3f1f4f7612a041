import { lstatSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isInstalled } from "@mayfly/testkit/vitest";
import { DEV_PORTS_MS_MAX } from "../harness/index.ts";
import { read, repositoryFiles } from "../tidy/repository.ts";
import { commandsOfConsole, commandsOfShell, type PrintedCommand } from "./commands.ts";
import { openPageShell, type PageShell } from "./page-shell.ts";
import { fileOf, readPage, type Block, type Page } from "./read-page.ts";
import { isScenario, startScenario, type Scenario } from "./scenario.ts";

/** What the pages' readers have beside Node. */
const hasTools = (
  await Promise.all(
    (["psql", "jq", "curl", "python", "redis"] as const).map((name) => isInstalled(name)),
  )
).every(Boolean);
/** What some blocks need besides, and whether it is here. */
const NEEDED: Readonly<Record<string, boolean>> = {
  spire: await isInstalled("spire"),
  // Who may start the broker in another group, by which SPIRE tells it from who types.
  brokergroup: (await isInstalled("spire")) && process.getuid?.() === 0,
  openssl: await isInstalled("openssl"),
  mariadb: await isInstalled("mariadb"),
  rabbitmq: await isInstalled("rabbitmq"),
  moto: await isInstalled("moto"),
  sshd: await isInstalled("sshd"),
  // Of the same lock.
  aws: await isInstalled("moto"),
};
const COMMAND_MS_MAX = 120_000;
const BLOCK_MS_MAX = 240_000;
/** Until nobody else on this machine has the ports of `npm run dev`, and it is up. */
const SCENARIO_MS_MAX = DEV_PORTS_MS_MAX + 300_000;
const RUN = { timeout: BLOCK_MS_MAX } as const;
const PAGE =
  /^(?:README|ARCHITECTURE|SECURITY|CONTRIBUTING)\.md$|^docs\/.*\.md$|^[^/]+\/[^/]+\/README\.md$/;

const pages: readonly (Page & { readonly path: string })[] = (await repositoryFiles())
  .filter((path) => PAGE.test(path))
  .map((path) => ({ path, ...readPage(read(path)) }));

/** What there is to do for a block: null is a block that shows and does not tell. */
type Step =
  | { readonly kind: "file"; readonly path: string; readonly text: string }
  | { readonly kind: "commands"; readonly commands: readonly PrintedCommand[] };

function stepOf(block: Block): Step | null {
  if (block.notRun !== null) return null;
  switch (block.language) {
    case "sh":
      return { kind: "commands", commands: commandsOfShell(block.text) };
    case "console":
      return { kind: "commands", commands: commandsOfConsole(block.text) };
    case "sql": {
      // What a page shows as a file is for a server of its own, which psql knows nothing of.
      const file = fileOf(block);
      if (file !== null) return { kind: "file", ...file };
      return { kind: "commands", commands: [{ text: throughPsql(block.text), exits: 0 }] };
    }
    default: {
      const file = fileOf(block);
      return file === null ? null : { kind: "file", ...file };
    }
  }
}

const throughPsql = (sql: string): string =>
  `psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 <<'END_OF_SQL'\n${sql}\nEND_OF_SQL`;

const isRunnable = (block: Block): boolean =>
  block.notRun === null && ["sh", "console", "sql"].includes(block.language);

describe("every page", () => {
  const known = new Set(
    ["sh", "console", "sql", "text", "yaml", "json", "cedar", "ts", "js", "python", "http"].concat([
      "promql",
      "ini",
      "nginx",
      "toml",
      "diff",
      "hcl",
    ]),
  );

  test("says of each block what it is", () => {
    const unknown = pages.flatMap(({ path, blocks }) =>
      blocks
        .filter(({ language }) => !known.has(language))
        .map(({ line, language }) => `${path}:${line} "${language}"`),
    );
    expect(unknown, `one of ${[...known].join(", ")}`).toEqual([]);
  });

  test("shows no command as mere text", () => {
    const hidden = pages
      .filter(({ path }) => path !== "docs/cli.md")
      .flatMap(({ path, blocks }) =>
        blocks
          .filter(({ language, notRun }) => language === "text" && notRun === null)
          .filter(({ text }) => /^\$ /m.test(text))
          .map(({ line }) => `${path}:${line}`),
      );
    expect(hidden, "label it console").toEqual([]);
  });

  test("needs no program for a block but those that are looked for", () => {
    const needed = pages.flatMap(({ blocks }) => blocks.flatMap(({ needs }) => needs ?? []));
    expect(needed.filter((name) => NEEDED[name] === undefined)).toEqual([]);
  });

  test("gives a reason for each block that is not run, and names a known scenario", () => {
    const reasons = pages.flatMap(({ blocks }) => blocks.flatMap(({ notRun }) => notRun ?? []));
    expect(reasons.filter((reason) => reason.length < 20)).toEqual([]);
    expect(pages.filter(({ scenario }) => !isScenario(scenario)).map(({ path }) => path)).toEqual(
      [],
    );
  });
});

/** A page's own files only: what is linked is the checkout of whoever runs the suite. */
async function writePageFile(folder: string, path: string, text: string): Promise<void> {
  const top = join(folder, path.split("/")[0] ?? "");
  const there = lstatSync(top, { throwIfNoEntry: false });
  if (there?.isSymbolicLink() === true) throw new Error(`${path} is a file of the checkout`);
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), `${text}\n`);
}

describe.skipIf(!hasTools).each(pages.filter(({ blocks }) => blocks.some(isRunnable)))(
  "$path",
  (page) => {
    let scenario: Scenario;
    let shell: PageShell;
    beforeAll(async () => {
      if (!isScenario(page.scenario)) throw new Error(`${page.path}: no scenario ${page.scenario}`);
      scenario = await startScenario(page.scenario);
      shell = openPageShell(scenario.folder, scenario.env, scenario.own);
    }, SCENARIO_MS_MAX);
    afterAll(async () => {
      await shell?.[Symbol.asyncDispose]();
      await scenario?.[Symbol.asyncDispose]();
    });

    const steps = page.blocks.flatMap(({ line, language, needs, ...block }) => {
      const step = stepOf({ line, language, needs, ...block });
      return step === null ? [] : [{ line, language, needs, step }];
    });
    const isHere = (needs: string | null): boolean => needs === null || NEEDED[needs] === true;
    test.each(steps.filter(({ needs }) => isHere(needs)))("line $line: $language", RUN, typed);
    const missing = steps.filter(({ needs }) => !isHere(needs));
    test.skipIf(true).each(missing)("line $line: $language, without $needs", RUN, typed);

    async function typed({ line, step }: (typeof steps)[number]): Promise<void> {
      if (step.kind === "file") return writePageFile(scenario.folder, step.path, step.text);
      expect(step.commands.length).toBeGreaterThan(0);
      for (const command of step.commands) {
        const { code, output } = await shell.run(command.text, COMMAND_MS_MAX);
        expect(code, `${page.path}:${line}\n${command.text}\n${output}`).toBe(command.exits);
      }
    }
  },
);

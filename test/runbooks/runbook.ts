import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { commandsOfConsole, commandsOfShell } from "../documents/commands.ts";
import { openPageShell } from "../documents/page-shell.ts";
import { readPage, type Block } from "../documents/read-page.ts";
import { writeMayflyCommand, type Installation } from "../harness/index.ts";
import { ROOT } from "../tidy/repository.ts";

const COMMAND_MS_MAX = 120_000;

/** A page of docs/runbooks, whose commands are typed as printed while its scenario goes on. */
export interface Runbook extends AsyncDisposable {
  /** Where its commands are typed. */
  readonly folder: string;
  /** Types what stands below this heading; answers all output. Each must end as the page says. */
  follow(heading: string): Promise<string>;
  /** For what an operator has set, such as where the broker is now. */
  set(name: string, value: string): Promise<void>;
  /** Throws unless everything that the page lets be typed was typed. */
  finish(): void;
}

export async function openRunbook(name: string, mayfly: Installation): Promise<Runbook> {
  await using started = new AsyncDisposableStack();
  const own = await mkdtemp(join(tmpdir(), "mayfly-runbook-"));
  started.defer(() => rm(own, { recursive: true, force: true }));
  const text = await readFile(join(ROOT, `docs/runbooks/${name}.md`), "utf8");
  const sections = sectionsOf(text, `test/runbooks/${name}.test.ts`);
  await writeFile(join(own, "admin-token"), mayfly.adminToken, { mode: 0o600 });
  await writeMayflyCommand(own);
  const env = {
    PATH: [own, process.env["PATH"] ?? ""].join(delimiter),
    HOME: own,
    LANG: "C.UTF-8",
    TERM: "dumb",
    NODE_NO_WARNINGS: "1",
    MAYFLY_ADMIN_TOKEN_FILE: join(own, "admin-token"),
  };
  const shell = started.use(openPageShell(own, env, own));
  const run = async (typed: string, exits: number): Promise<string> => {
    const { code, output } = await shell.run(typed, COMMAND_MS_MAX);
    if (code !== exits) throw new Error(`${typed}\nended with ${code}, not ${exits}:\n${output}`);
    return output;
  };
  const left = new Map(sections);
  const all = started.move();
  return {
    folder: own,
    follow: async (heading) => {
      const blocks = sections.get(heading);
      if (blocks === undefined) throw new Error(`${name} has nothing to type below "${heading}"`);
      left.delete(heading);
      let output = "";
      for (const { text: block, language } of blocks) {
        const commands = language === "sh" ? commandsOfShell(block) : commandsOfConsole(block);
        for (const each of commands) output += await run(each.text, each.exits);
      }
      return output;
    },
    set: async (variable, value) => {
      await run(`export ${variable}='${value.replaceAll("'", "'\\''")}'`, 0);
    },
    finish: () => {
      if (left.size > 0) throw new Error(`nobody typed: ${[...left.keys()].join(", ")}`);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** The blocks that this test runs, by the heading that they stand below. */
function sectionsOf(text: string, test: string): ReadonlyMap<string, readonly Block[]> {
  const headings = text
    .split("\n")
    .map((line, at) => ({ line: at + 1, heading: /^#{2,3} (.+)$/.exec(line)?.[1] }))
    .filter((each): each is { line: number; heading: string } => each.heading !== undefined);
  const sections = new Map<string, Block[]>();
  for (const block of readPage(text).blocks) {
    if (block.notRun?.includes(test) !== true) continue;
    const heading = headings.findLast(({ line }) => line < block.line)?.heading ?? "";
    sections.set(heading, [...(sections.get(heading) ?? []), block]);
  }
  return sections;
}

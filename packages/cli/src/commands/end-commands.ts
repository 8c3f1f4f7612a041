import type { Command } from "commander";
import { selectorEndAnswer, type SelectorEndAnswer } from "../api/security-answers.ts";
import { listAll, noteMore, parseLimit, type PageOptions } from "../api/list-all.ts";
import { firstOf } from "../render/fact-lines.ts";
import { table } from "../render/table.ts";
import { relativeText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import { showEnd } from "./selector-options.ts";

/** What became of ends by selector: `lease end` and `task kill` make them. */
export const endCommands: CommandSet = (program, open) => {
  const end = program.command("end").description("ends by selector, and what became of them");
  end
    .command("list")
    .description("ends by selector, newest first")
    .option("--limit <n>", "at most so many", parseLimit, 100)
    .option("--after <place>", "go on where an earlier list ended")
    .option("--all", "to the end")
    .addHelpText("after", examples("mayfly end list"))
    .action(async (options: PageOptions, command: Command) => {
      const session = open(command);
      const api = session.api();
      const listed = await listAll(session, api, "/v1/ends", {}, options, selectorEndAnswer);
      if (!session.json) showEnds(session, listed.items);
      noteMore(session, listed.next);
    });
  end
    .command("show")
    .description("what is dead, what is dying and until when, as of now")
    .argument("<end>", "id of the end")
    .option("--limit <n>", "at most so many leases", parseLimit, 100)
    .option("--after <place>", "go on where an earlier list ended")
    .addHelpText("after", examples("mayfly end show end_0199…"))
    .action(async (id: string, options: PageOptions, command: Command) => {
      const session = open(command);
      const query = { limit: String(Math.min(1000, options.limit ?? 100)), after: options.after };
      showEnd(session, await session.api().get(`/v1/ends/${encodeURIComponent(id)}`, query));
    });
};

const REASON_SHOWN_MAX = 80;

function showEnds(session: Session, ends: readonly SelectorEndAnswer[]): void {
  const { paint, io } = session;
  if (session.onlyIds(ends.map(({ id }) => id))) return;
  if (ends.length === 0) return session.note("No end by selector.");
  const columns = [
    { title: "END", cell: (end: SelectorEndAnswer) => end.id },
    {
      title: "ASKED",
      cell: (end: SelectorEndAnswer) => relativeText(end.requested_at, io.clock.now()),
    },
    { title: "BY", cell: (end: SelectorEndAnswer) => end.by },
    { title: "STATE", cell: (end: SelectorEndAnswer) => end.result ?? "under way" },
    {
      title: "OF",
      cell: ({ target, selector }: SelectorEndAnswer) => {
        const all = Object.entries(selector).map(([name, value]) => `${name}=${value}`);
        return `${target} ${all.join(" ")}`;
      },
    },
    { title: "REASON", cell: (end: SelectorEndAnswer) => firstOf(end.reason, REASON_SHOWN_MAX) },
  ];
  session.text(table(columns, ends, paint));
}

import type { Command } from "commander";
import { eventAnswer, type EventAnswer } from "../api/answers.ts";
import { instantOption } from "../api/instant-option.ts";
import { listAll, noteMore, parseLimit, type PageOptions } from "../api/list-all.ts";
import { cleanText } from "../render/clean-text.ts";
import { summaryText } from "../render/fact-lines.ts";
import { table } from "../render/table.ts";
import { clockSecondsText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

interface ListOptions extends PageOptions {
  readonly task?: string;
  readonly lease?: string;
  readonly kind?: string;
  readonly from?: string;
  readonly until?: string;
}

export const eventCommands: CommandSet = (program, open) => {
  const event = program.command("event").description("the history, entry by entry");
  event
    .command("list")
    .description("events, oldest first, by any of these filters together")
    .option("--task <task>", "id of a task")
    .option("--lease <lease>", "id of a lease")
    .option("--kind <kind>", "such as decision.denied or lease.ended")
    .option("--from <time>", "since: an instant, or how long ago (7d)")
    .option("--until <time>", "before")
    .option("--limit <n>", "at most so many", parseLimit, 100)
    .option("--after <place>", "go on where an earlier list ended")
    .option("--all", "to the end")
    .addHelpText(
      "after",
      examples(
        "mayfly event list --kind decision.denied --from 1d",
        "mayfly event list --task task_0199… --json",
      ),
    )
    .action(async (options: ListOptions, command: Command) => {
      const session = open(command);
      const { clock } = session.io;
      const query = {
        task: options.task,
        lease: options.lease,
        kind: options.kind,
        from: instantOption("--from", options.from, clock),
        until: instantOption("--until", options.until, clock),
      };
      const api = session.api();
      const listed = await listAll(session, api, "/v1/events", query, options, eventAnswer);
      if (!session.json) showEvents(session, listed.items);
      noteMore(session, listed.next);
    });
};

export function showEvents(session: Session, events: readonly EventAnswer[]): void {
  const { io, paint } = session;
  if (session.onlyIds(events.map(({ id }) => id))) return;
  if (events.length === 0) return session.note("No event.");
  const columns = [
    {
      title: "AT",
      cell: (event: EventAnswer) => clockSecondsText(event.at, io.clock.now(), io.timeZone),
    },
    { title: "LOG", cell: (event: EventAnswer) => String(event.log_index ?? "-") },
    { title: "KIND", cell: (event: EventAnswer) => event.kind },
    { title: "BY", cell: (event: EventAnswer) => event.actor.name },
    {
      title: "OF",
      cell: (event: EventAnswer) =>
        event.lease ?? event.task ?? objectOf(event) ?? event.decision ?? "-",
    },
    { title: "DATA", cell: (event: EventAnswer) => summaryText(event.data, 80) },
  ];
  session.text(table(columns, events, paint));
}

/** What a change of the configuration was about: the event's data have its name, or the object. */
function objectOf({ data }: EventAnswer): string | null {
  const { id, name, role, root, digest, kid, end } = data;
  const names = [id, name, nameOf(role), nameOf(root), digest, kid, end];
  const found = names.find((each) => typeof each === "string");
  if (typeof found !== "string") return null;
  return found === digest ? `policies@${found.slice(0, 8)}` : cleanText(found);
}

const nameOf = (object: unknown): unknown =>
  typeof object === "object" && object !== null && "name" in object ? object.name : undefined;

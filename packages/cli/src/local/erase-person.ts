import { readFileSync } from "node:fs";
import {
  ERASED_TABLES,
  openErasure,
  saltLeaves,
  type Erased,
  type PersonSelector,
} from "@mayfly/postgres";
import { readMigrateSettings } from "@mayfly/settings";
import type { Session } from "../session.ts";

export interface EraseOptions {
  readonly selector: PersonSelector;
  /** Null for a dry run. */
  readonly reason: string | null;
  readonly yes: boolean;
}

const databaseUrl = ({ io }: Session): string =>
  readMigrateSettings(io.environment, (path) => readFileSync(path, "utf8")).databaseUrl.expose(
    "upstream",
  );

/** Takes one person's values out of the ledger; run again, it goes on. */
export async function erasePerson(session: Session, options: EraseOptions): Promise<void> {
  const { selector, reason, yes } = options;
  const erasure = await openErasure({ url: databaseUrl(session) });
  try {
    const plan = await erasure.plan(selector);
    if (reason === null) return show(session, plan, "would be erased");
    await session.confirm(planLines(plan), yes);
    session.note("Verifying the ledger, then erasing …");
    show(session, await erasure.erase(selector, reason), "erased");
  } finally {
    await erasure.close();
  }
}

const planLines = (plan: Erased): readonly string[] => [
  `erases values of ${rowsText(plan)}: for good, here`,
  "exported files, backups and standbys keep them until you delete these",
];

const NAMES = {
  tasks: "tasks",
  task_end_requests: "end requests",
  decisions: "decisions",
  leases: "leases",
  events: "events",
  selector_ends: "ends by selector",
} as const;

function rowsText({ erased }: Erased): string {
  const parts = ERASED_TABLES.filter((table) => erased[table] > 0).map(
    (table) => `${erased[table].toLocaleString("en-US")} ${NAMES[table]}`,
  );
  return parts.length === 0 ? "no row" : parts.join(", ");
}

/** What stays ends the command with 1, so that nobody takes it for done. */
function show(session: Session, done: Erased, what: string): void {
  const { erased, skipped, unsalted, mentions, cleaned } = done;
  const left = skipped.live + skipped.not_logged + skipped.unreadable;
  if (cleaned !== null && (left > 0 || !cleaned)) session.found();
  if (session.json) {
    const counts = { ...erased };
    return session.record({ erased: counts, skipped: { ...skipped }, unsalted, mentions, cleaned });
  }
  session.detail(`values of ${rowsText(done)} ${what}\n`);
  for (const line of remarks(done)) session.text(`! ${line}\n`);
}

function remarks({ skipped, unsalted, mentions, cleaned }: Erased): readonly string[] {
  const said: readonly (readonly [boolean, string])[] = [
    [skipped.live > 0, `${skipped.live} stay: they are not over yet; run it again when they are`],
    [
      skipped.not_logged > 0,
      `${skipped.not_logged} stay: their events wait for their place in the log; run it again soon`,
    ],
    [skipped.unreadable > 0, `${skipped.unreadable} stay: somebody else wrote their events`],
    [
      unsalted > 0,
      `${unsalted} of the events were hashed without a salt: with their old hash, who guesses ` +
        "all that one said can confirm it",
    ],
    [
      mentions > 0,
      `${mentions} rows have the name within a longer text, which no selector finds; ` +
        "look at them: docs/runbooks/erasing-one-person.md",
    ],
    [
      cleaned === false,
      "the server was too busy to clean up: run it again, or VACUUM (ANALYZE) on its tables",
    ],
  ];
  return said.filter(([holds]) => holds).map(([, line]) => line);
}

/** From now on, the log is one that earlier versions cannot verify. */
export async function saltLedger(session: Session, yes: boolean): Promise<void> {
  const plan = [
    "salts the hashes of the log from now on, for good",
    "processes of the version before would call that tampering: none may run any more",
  ];
  await session.confirm(plan, yes);
  const changed = await saltLeaves(databaseUrl(session));
  if (session.json) return session.record({ changed });
  session.detail(changed ? "✓ new hashes are salted\n" : "✓ new hashes were salted already\n");
}

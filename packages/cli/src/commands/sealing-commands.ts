import type { Command } from "commander";
import { z } from "zod";
import { readAnswer } from "../api/answers.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

const statusAnswer = z.object({
  keys: z.array(z.string()).min(1),
  counts: z.array(z.object({ kind: z.string(), key: z.string().nullable(), values: z.number() })),
});
type StatusAnswer = z.output<typeof statusAnswer>;
const resealedAnswer = z.object({
  resealed: z.number(),
  changed: z.number(),
  unopened: z.array(z.string()),
  next: z.string().nullable(),
});

const KINDS: Readonly<Record<string, string>> = {
  lease: "handles of leases that have not ended",
  backend: "backend configurations",
  signing_key: "signing keys",
  backend_key: "signing keys of backends",
};

export const sealingCommands: CommandSet = (program, open) => {
  const sealing = program.command("sealing").description("the keys that seal what is stored");
  sealing
    .command("status")
    .description("what is sealed under which key; ends with 1 while an old key is still needed")
    .addHelpText("after", examples("mayfly sealing status", "mayfly sealing status --json"))
    .action(async (_: unknown, command: Command) => {
      const session = open(command);
      await showStatus(session, null);
    });
  sealing
    .command("reseal")
    .description("move everything to the broker's first key, while everything runs")
    .addHelpText(
      "after",
      `
Goes through all that is sealed, batch by batch; when it was interrupted, run it again. Give every
broker and worker the new key as the first one before: docs/runbooks/sealing-key-rotation.md.
${examples("mayfly sealing reseal", "mayfly sealing reseal --json")}`,
    )
    .action(async (_: unknown, command: Command) => {
      const session = open(command);
      const done = await reseal(session);
      await showStatus(session, done);
    });
};

/** What one run of it did; `unopened` are places whose key the broker does not have. */
interface Resealed {
  readonly resealed: number;
  readonly unopened: readonly string[];
}

async function reseal(session: Session): Promise<Resealed> {
  const api = session.api();
  let after: string | null = null;
  let total = 0;
  const unopened: string[] = [];
  do {
    const body: { readonly after?: string } = after === null ? {} : { after };
    const answer: unknown = await api.send("POST", "/v1/sealing/reseal", body);
    const done: z.output<typeof resealedAnswer> = readAnswer(resealedAnswer, answer);
    total += done.resealed;
    unopened.push(...done.unopened);
    after = done.next;
    if (after !== null) session.note(`${total} values re-sealed …`);
  } while (after !== null);
  session.note(`${total} values re-sealed`);
  if (unopened.length === 0) return { resealed: total, unopened };
  session.found();
  for (const place of unopened) session.note(`${session.paint.red("✗")} ${place} does not open`);
  session.note(
    "Their key is not in the broker's ring, or they were altered: give it the key back.",
  );
  return { resealed: total, unopened };
}

async function showStatus(session: Session, done: Resealed | null): Promise<void> {
  const status = readAnswer(statusAnswer, await session.api().get("/v1/sealing"));
  const [current = "", ...others] = status.keys;
  const old = status.counts.filter(({ key }) => key !== current);
  if (old.length > 0) session.found();
  if (session.json) return session.record({ ...done, ...status });
  if (!session.quiet) session.text(statusText(session, status, current));
  for (const { kind, key, values } of old) {
    const what = key === null ? "not sealed" : `under ${key}`;
    session.text(`${session.paint.red("✗")} ${values} ${KINDS[kind] ?? kind} are ${what}\n`);
  }
  const idle = others.filter((key) => status.counts.every((count) => count.key !== key));
  const removable = idle.map(
    (key) => `${session.paint.green("✓")} nothing is sealed under ${key}\n`,
  );
  session.text(removable.join(""));
}

const statusText = (session: Session, { counts }: StatusAnswer, current: string): string =>
  table(
    [
      { title: "KEY", cell: ({ key }) => key ?? "(none)" },
      { title: "SEALS", cell: ({ key }) => (key === current ? "now" : "no more") },
      { title: "VALUES", cell: ({ values }) => String(values) },
      { title: "WHAT", cell: ({ kind }) => KINDS[kind] ?? kind },
    ],
    counts,
    session.paint,
  );

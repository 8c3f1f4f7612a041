import { readFile, writeFile } from "node:fs/promises";
import { z } from "zod";
import type { RowResult } from "./bench-row.ts";

const target = z.strictObject({ ratio: z.number(), is: z.enum(["at_least", "at_most"]) });
/** NaN, of a round without a reply, is null in JSON. */
const ratio = z.union([z.number(), z.null().transform(() => Number.NaN)]);
const result = z.strictObject({
  ratio,
  spread: z.tuple([ratio, ratio]),
  facts: z.array(z.string()),
  also: z.array(z.strictObject({ name: z.string(), ratio, target })).optional(),
  broken: z.array(z.string()),
});
const measured = z.strictObject({
  date: z.iso.date(),
  machine: z.string(),
  node: z.string(),
  postgres: z.string(),
  queue: z.string(),
  rounds: z.int().positive(),
  seconds: z.int().positive(),
  result,
});
const file = z.strictObject({ rows: z.record(z.string(), measured) });

/** One row's result and what it was measured with. */
export interface Measured {
  /** `YYYY-MM-DD`, UTC. */
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  readonly postgres: string;
  readonly queue: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly result: RowResult;
}

/** By the name of the row. */
export type MeasuredRows = Readonly<Record<string, Measured>>;

/** What was measured last of each row; nothing where there is no file yet. */
export async function readMeasuredRows(path: string): Promise<MeasuredRows> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw error;
  }
  const { rows } = file.parse(JSON.parse(text));
  return Object.fromEntries(
    Object.entries(rows).map(
      ([
        name,
        {
          result: { also, ...of },
          ...row
        },
      ]) => [name, { ...row, result: also === undefined ? of : { ...of, also } }],
    ),
  );
}

export async function writeMeasuredRows(path: string, rows: MeasuredRows): Promise<void> {
  await writeFile(path, `${JSON.stringify({ rows }, null, 2)}\n`);
}

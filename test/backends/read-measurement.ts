import { parseArgs } from "node:util";
import { wholeNumber } from "../harness/index.ts";
import { chosenUpstreams } from "./chosen-upstreams.ts";
import type { Upstream } from "./upstreams/upstream.ts";

/** A program that measures types: how it is called, and what `--<count>` bounds. */
export interface Measurement {
  readonly program: "crowd" | "times";
  readonly count: "leases" | "rounds";
  readonly usual: number;
  readonly max: number;
  /** What may not be kept, as the end of an error; null: it may. */
  readonly unkept: (count: number) => string | null;
}

export interface Asked {
  readonly count: number;
  readonly upstreams: readonly Upstream[];
  readonly write: boolean;
}

/** What a command line asks for; null where it asks for nothing that there is, which is told. */
export async function readMeasurement(
  measurement: Measurement,
  args: readonly string[],
): Promise<Asked | null> {
  const { program, count } = measurement;
  try {
    return await parse(measurement, args);
  } catch (error) {
    process.stderr.write(
      `${program}: ${error instanceof Error ? error.message : ""}\n` +
        `usage: npm run ${program} -- [--${count} N] [--type NAME,…] [--write]\n`,
    );
    return null;
  }
}

async function parse(measurement: Measurement, args: readonly string[]): Promise<Asked> {
  const { count: name, usual, max, unkept } = measurement;
  const { values } = parseArgs({
    args: [...args],
    options: {
      [name]: { type: "string", default: String(usual) },
      type: { type: "string" },
      write: { type: "boolean", default: false },
    },
  });
  const count = wholeNumber(name, values[name], max);
  const write = values["write"] === true;
  const why = write ? unkept(count) : null;
  if (why !== null) throw new Error(`--write: ${why}`);
  const type = values["type"];
  const upstreams = await chosenUpstreams(typeof type === "string" ? type : undefined);
  return { count, upstreams, write };
}

/** How far a measurement is, for whoever waits for it. */
export const say = (line: string): void => {
  process.stderr.write(`  … ${line}\n`);
};

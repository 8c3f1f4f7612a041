import { parseArgs } from "node:util";
import { wholeNumber } from "../harness/index.ts";
import { chosenUpstreams } from "./chosen-upstreams.ts";
import type { Upstream } from "./upstreams/upstream.ts";

/** A program that measures types: how it is called, and what `--<count>` bounds. */
export interface Measurement {
  readonly program: "crowd" | "times";
  readonly count: "leases" | "rounds";
  readonly usual: (down: boolean) => number;
  readonly max: (down: boolean) => number;
  /** Whether `--down` is known. */
  readonly canBeDown: boolean;
  /** What may not be kept, as the end of an error; null: it may. */
  readonly unkept: (count: number, down: boolean) => string | null;
}

export interface Asked {
  readonly count: number;
  readonly upstreams: readonly Upstream[];
  readonly write: boolean;
  readonly down: boolean;
}

/** What a command line asks for; null where it asks for nothing that there is, which is told. */
export async function readMeasurement(
  measurement: Measurement,
  args: readonly string[],
): Promise<Asked | null> {
  const { program, count, canBeDown } = measurement;
  const down = canBeDown ? " [--down]" : "";
  try {
    return await parse(measurement, args);
  } catch (error) {
    process.stderr.write(
      `${program}: ${error instanceof Error ? error.message : ""}\n` +
        `usage: npm run ${program} -- [--${count} N] [--type NAME,…] [--write]${down}\n`,
    );
    return null;
  }
}

async function parse(measurement: Measurement, args: readonly string[]): Promise<Asked> {
  const { count: name, usual, max, unkept, canBeDown } = measurement;
  const { values } = parseArgs({
    args: [...args],
    options: {
      [name]: { type: "string" },
      type: { type: "string" },
      write: { type: "boolean", default: false },
      down: { type: "boolean", default: false },
    },
  });
  const write = values["write"] === true;
  const down = values["down"] === true;
  if (down && !canBeDown) throw new Error("--down: it measures no server that is down");
  const said = values[name] ?? String(usual(down));
  const count = wholeNumber(name, said, max(down));
  const why = write ? unkept(count, down) : null;
  if (why !== null) throw new Error(`--write: ${why}`);
  const type = values["type"];
  const upstreams = await chosenUpstreams(typeof type === "string" ? type : undefined);
  return { count, upstreams, write, down };
}

/** How far a measurement is, for whoever waits for it. */
export const say = (line: string): void => {
  process.stderr.write(`  … ${line}\n`);
};

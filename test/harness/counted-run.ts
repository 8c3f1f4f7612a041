import { parseArgs, type ParseArgsConfig } from "node:util";

/** The command line `npm run NAME -- [--COUNTED N] [--seed TEXT] [--json] [--help]`. */
export interface CountedCommand {
  readonly name: string;
  /** What the N is of: `kills`. */
  readonly counted: string;
  readonly byDefault: number;
  /** Default: the time, so that each run is another. */
  readonly seed?: string;
  /** What the help says that it does. */
  readonly about: string;
}

export interface CountedRun {
  readonly count: number;
  readonly seed: string;
  /** Whether to end with one line of JSON. */
  readonly json: boolean;
}

/** The exit code of a command line that cannot be understood (`EX_USAGE` of sysexits.h). */
const USAGE_ERROR = 64;

/** Runs it as its arguments say; resolves to the exit code. */
export async function countedRun(
  command: CountedCommand,
  run: (asked: CountedRun) => Promise<number>,
): Promise<number> {
  const { name, counted, byDefault, about } = command;
  const usage = `usage: npm run ${name} -- [--${counted} N] [--seed TEXT] [--json]\n`;
  let asked: CountedRun | "help";
  try {
    asked = readCounted(command, process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : ""}\n${usage}`);
    return USAGE_ERROR;
  }
  if (asked !== "help") return run(asked);
  process.stdout.write(`${usage}\n${about}\n${counted}: ${byDefault}, if not said.\n`);
  return 0;
}

function readCounted(
  { counted, byDefault, seed }: CountedCommand,
  args: readonly string[],
): CountedRun | "help" {
  const options: NonNullable<ParseArgsConfig["options"]> = {
    [counted]: { type: "string", default: String(byDefault) },
    seed: { type: "string", default: seed ?? new Date().toISOString() },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  };
  const { values } = parseArgs({ args: [...args], options });
  if (values["help"] === true) return "help";
  const count = Number(values[counted]);
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new Error(`--${counted}: expected a whole number from 1 on`);
  }
  return { count, seed: String(values["seed"]), json: values["json"] === true };
}

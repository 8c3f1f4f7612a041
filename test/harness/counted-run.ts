import { parseArgs, type ParseArgsConfig } from "node:util";
import { watchStop, type SignalSource } from "./watch-stop.ts";
import { wholeNumber } from "./whole-number.ts";

/** The command line `npm run NAME -- [--COUNTED N] [--seed TEXT] [--FLAG] [--json] [--help]`. */
export interface CountedCommand {
  readonly name: string;
  /** What the N is of: `kills`. */
  readonly counted: string;
  readonly byDefault: number;
  /** Default: the time, so that each run is another. */
  readonly seed?: string;
  readonly flags?: readonly string[];
  /** What the help says that it does. */
  readonly about: string;
  /** What `--NAME` chooses from, once or several times; all of it, if not said. */
  readonly choice?: { readonly name: string; readonly from: readonly string[] };
}

export interface CountedRun {
  readonly count: number;
  readonly seed: string;
  readonly flags: ReadonlySet<string>;
  /** Of the command's choice: what was named, or all. */
  readonly chosen: readonly string[];
  /** Aborted: it is enough, whatever the count; what was started is ended all the same. */
  readonly stop: AbortSignal;
  /** How far it is, for whoever waits. */
  readonly progress: (line: string) => void;
}

/** What came of as much as was done. */
export interface CountedEnd {
  readonly failed: boolean;
  /** For people, line by line. */
  readonly report: readonly string[];
  /** The lines of `--json`. */
  readonly summary: readonly object[];
}

/** What is around a command; a test has its own. */
export interface CommandSurroundings {
  readonly args: readonly string[];
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly signals: SignalSource;
}

/** The exit code of a command line that cannot be understood (`EX_USAGE` of sysexits.h). */
const USAGE_ERROR = 64;

const ownSurroundings = (): CommandSurroundings => ({
  args: process.argv.slice(2),
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  signals: process,
});

/**
 * Runs it as its arguments say; resolves to the exit code. Told to stop by a signal, it says on
 * standard error what was done by then, ends with 130 or 143, and has no line of JSON, which
 * whoever reads it would take for a whole run.
 */
export async function countedRun(
  command: CountedCommand,
  run: (asked: CountedRun) => Promise<CountedEnd>,
  { args, out, err, signals }: CommandSurroundings = ownSurroundings(),
): Promise<number> {
  const { name, counted, byDefault, about } = command;
  const usage = usageOf(command);
  let asked: Asked | "help";
  try {
    asked = readCounted(command, args);
  } catch (error) {
    err(`${name}: ${error instanceof Error ? error.message : ""}\n${usage}`);
    return USAGE_ERROR;
  }
  if (asked === "help") {
    const { choice } = command;
    out(`${usage}\n${about}\n${counted}: ${byDefault}, if not said.\n`);
    if (choice !== undefined) out(`${choice.name}: all, if not said: ${choice.from.join(", ")}\n`);
    return 0;
  }
  using watch = watchStop(signals);
  const progress = (line: string): void => err(`  … ${line}\n`);
  const end = await run({ ...asked, stop: watch.signal, progress });
  const told = watch.told();
  if (told !== null) {
    err(`${name}: stopped by ${told.by} before its end; until then:\n${lines(end.report)}`);
    return told.exitCode;
  }
  out(lines(end.report));
  if (asked.json) out(lines(end.summary.map((line) => JSON.stringify(line))));
  return end.failed ? 1 : 0;
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join("");

const usageOf = ({ name, counted, choice, flags = [] }: CountedCommand): string => {
  const chosen = choice === undefined ? "" : ` [--${choice.name} NAME]...`;
  const more = chosen + flags.map((flag) => ` [--${flag}]`).join("");
  return `usage: npm run ${name} -- [--${counted} N] [--seed TEXT]${more} [--json]\n`;
};

type Asked = Omit<CountedRun, "stop" | "progress"> & { readonly json: boolean };

function readCounted(
  { counted, byDefault, seed, choice, flags = [] }: CountedCommand,
  args: readonly string[],
): Asked | "help" {
  const options: NonNullable<ParseArgsConfig["options"]> = {
    [counted]: { type: "string", default: String(byDefault) },
    seed: { type: "string", default: seed ?? new Date().toISOString() },
    ...Object.fromEntries(flags.map((flag) => [flag, { type: "boolean" as const }])),
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
    ...(choice === undefined ? {} : { [choice.name]: { type: "string", multiple: true } }),
  };
  const { values } = parseArgs({ args: [...args], options });
  if (values["help"] === true) return "help";
  return {
    count: wholeNumber(counted, values[counted]),
    seed: String(values["seed"]),
    flags: new Set(flags.filter((flag) => values[flag] === true)),
    chosen: choice === undefined ? [] : chosenFrom(choice, values[choice.name]),
    json: values["json"] === true,
  };
}

function chosenFrom(
  { name, from }: NonNullable<CountedCommand["choice"]>,
  named: unknown,
): readonly string[] {
  const chosen = Array.isArray(named) ? named.map(String) : from;
  const unknown = chosen.find((each) => !from.includes(each));
  if (unknown === undefined) return chosen;
  throw new Error(`--${name}: "${unknown}" is none of ${from.join(", ")}`);
}

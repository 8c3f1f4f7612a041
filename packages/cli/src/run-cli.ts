import { CommanderError, type Command } from "commander";
import { createPaint } from "./render/paint.ts";
import { outputLost, toCliError, usageError, type CliError } from "./cli-error.ts";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { createProgram } from "./program.ts";
import { errorJson, errorText } from "./render/error-text.ts";
import type { Ending } from "./session.ts";

/**
 * Runs one command line (without node and script) and answers how the process has to end. What
 * changes something goes on to its end although nobody reads what it says. A reader that left, such
 * as `head`, is no failure; output that could not be written is one.
 */
export async function runCli(argv: readonly string[], io: Io, version: string): Promise<number> {
  const code = await run(argv, io, version);
  const lost = await io.written();
  if (lost === null || lost === "EPIPE" || code !== EXIT.done) return code;
  return fail(outputLost(lost), argv, io);
}

async function run(argv: readonly string[], io: Io, version: string): Promise<number> {
  const ending: Ending = { code: EXIT.done };
  const program = createProgram(io, ending, version);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return ending.code;
  } catch (error) {
    const failure = asFailure(error, program, argv);
    if (failure === null) return EXIT.done;
    return fail(failure, argv, io);
  }
}

function fail({ parts }: CliError, argv: readonly string[], io: Io): number {
  // What stands after `--` is another command's.
  const own = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length);
  if (own.includes("--json")) io.err(`${errorJson(parts)}\n`);
  else io.err(errorText(parts, createPaint(io.colours.err)));
  return parts.exit;
}

/** Null for help and version, which commander throws too. */
function asFailure(error: unknown, program: Command, argv: readonly string[]): CliError | null {
  if (!(error instanceof CommanderError)) return toCliError(error);
  if (error.exitCode === 0) return null;
  if (error.code === "commander.help") {
    // The help itself is out already.
    const isUnknown = argv[0] === "help";
    const what = isUnknown ? "There is no such command to help with." : "A command is missing.";
    return usageError(what, "Give one of those above.");
  }
  const what = error.message.replace(/^error: /, "").replaceAll("\n", " ");
  const sentence = what.charAt(0).toUpperCase() + what.slice(1);
  return usageError(sentence, `Read: ${commandOf(program, argv).join(" ")} --help`);
}

/** The words of the command that was meant, as far as they are known. */
function commandOf(program: Command, argv: readonly string[]): readonly string[] {
  const words = [program.name()];
  let at = program;
  for (const word of argv) {
    const next = at.commands.find((command) => command.name() === word);
    if (next === undefined) continue;
    words.push(word);
    at = next;
  }
  return words;
}

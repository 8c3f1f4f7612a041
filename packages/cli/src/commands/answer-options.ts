import type { Command } from "commander";

const each = (text: string, before: readonly string[]): readonly string[] => [...before, text];

/** The options of commands that ask: answers ahead, nobody asked, a file instead. */
export const answerOptions = (command: Command): Command =>
  command
    .option("--set <path=value>", "an answer ahead; may be repeated", each, [])
    .option("--set-file <path=file>", "a text that a file has, or a secret", each, [])
    .option("--from-env <path=variable>", "a secret that a variable has", each, [])
    .option("--no-input", "ask nothing: what is missing is an error")
    .option("--print", "print it as a file for `mayfly apply`, and register nothing")
    .option("--out <file>", "the same, into a new file")
    .option("--yes", "register without asking at the end");

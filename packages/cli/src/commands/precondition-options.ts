import type { Command } from "commander";
import { usageError } from "../cli-error.ts";

/** What `--if-match` and `--create` say. */
export interface PreconditionOptions {
  readonly ifMatch?: string;
  readonly create?: true;
}

export const ifMatchOption = (command: Command): Command =>
  command.option("--if-match <revision>", "only if it is still at this revision (its ETag)");

export const createOption = (command: Command): Command =>
  command.option("--create", "only if it is not there yet");

/** Headers of the change (RFC 9110 section 13.1). `objects`: how many the command changes. */
export function preconditionHeaders(
  { ifMatch, create }: PreconditionOptions,
  objects = 1,
): Readonly<Record<string, string>> {
  if (ifMatch === undefined) return create === true ? { "if-none-match": "*" } : {};
  if (create === true) {
    throw usageError("--if-match and --create exclude each other.", "Give one of them.");
  }
  if (objects > 1) {
    throw usageError(
      "--if-match is of one object, and the files hold more.",
      "Put them one by one.",
      ifMatch,
    );
  }
  return { "if-match": etagOf(ifMatch) };
}

/** As the broker answers it, with or without its quotes. */
function etagOf(text: string): string {
  const tag = /^"?([\x21\x23-\x7e]{1,128}?)"?$/.exec(text)?.[1];
  if (tag === undefined) throw usageError("That is no revision.", "Give it as shown.", text);
  return tag === "*" ? tag : `"${tag}"`;
}

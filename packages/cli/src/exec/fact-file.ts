import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { configError } from "../cli-error.ts";
import { jsonText } from "../render/clean-text.ts";

/** Where the facts of a run go, a line of JSON each, apart from the command's own output. */
export interface FactFile {
  write(fact: Readonly<Record<string, unknown>>): void;
  close(): void;
}

/** `where` is the number of an open file descriptor, or a path. Null: nowhere. */
export function openFactFile(where: string | null): FactFile {
  if (where === null) return { write: () => undefined, close: () => undefined };
  const isDescriptor = /^\d{1,4}$/.test(where);
  const fd = isDescriptor ? Number(where) : opened(where);
  if (isDescriptor) check(fd, where);
  let isOpen = true;
  return {
    write: (fact) => {
      if (!isOpen) return;
      try {
        writeSync(fd, `${jsonText(fact)}\n`);
      } catch {
        // Whoever read it has gone. The credential's end matters more.
        isOpen = false;
      }
    },
    close: () => {
      if (!isDescriptor) closeSync(fd);
      isOpen = false;
    },
  };
}

function opened(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch {
    throw configError("The file for the facts cannot be written.", path, "Give another path.");
  }
}

function check(fd: number, where: string): void {
  try {
    fstatSync(fd);
  } catch {
    throw configError("This file descriptor is not open.", where, "Open it: 3>facts.jsonl");
  }
}

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

/** Node opens some for itself: a number that the caller left closed is one of those, or none. */
const OWN_BELOW = 64;

function check(fd: number, where: string): void {
  const it = inodeOf(fd);
  // A pipe of Node's own has both its ends here; the caller's has one, or is an output as well.
  const isOwn = it !== null && it.isFIFO && othersThan(fd).some((one) => one.inode === it.inode);
  if (it !== null && it.isWritten && !isOwn) return;
  throw configError("This file descriptor is not open.", where, "Open it: 3>facts.jsonl");
}

function othersThan(fd: number): readonly { readonly inode: string }[] {
  const others = Array.from({ length: OWN_BELOW }, (_none, index) => index).filter(
    (one) => one > 2 && one !== fd,
  );
  return others.map(inodeOf).filter((one) => one !== null);
}

function inodeOf(fd: number): {
  readonly inode: string;
  readonly isFIFO: boolean;
  /** False of an event queue and the like, which are of no type. */
  readonly isWritten: boolean;
} | null {
  try {
    const stat = fstatSync(fd);
    return {
      inode: `${stat.dev}:${stat.ino}`,
      isFIFO: stat.isFIFO(),
      isWritten: [stat.isFile(), stat.isFIFO(), stat.isSocket(), stat.isCharacterDevice()].includes(
        true,
      ),
    };
  } catch {
    return null;
  }
}

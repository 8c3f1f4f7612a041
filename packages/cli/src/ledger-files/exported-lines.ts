import { createReadStream } from "node:fs";
import type { ExportedLine } from "@mayfly/postgres";
import { configError } from "../cli-error.ts";
import { codeOf } from "./system-code.ts";

/** An event holds at most a request of 1 MiB, its hashes and what was decided. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
const LINE_FEED = 0x0a;

/** The lines of several files as of one, `-` for standard input; one line in memory. */
export async function* exportedLines(
  paths: readonly string[],
): AsyncGenerator<ExportedLine, void, undefined> {
  for (const path of paths) yield* linesOf(path);
}

async function* linesOf(path: string): AsyncGenerator<ExportedLine, void, undefined> {
  const file = path === "-" ? "standard input" : path;
  const stream = path === "-" ? process.stdin : createReadStream(path);
  let line = 0;
  let parts: Buffer[] = [];
  let bytes = 0;
  const take = (ended: boolean): ExportedLine => {
    line += 1;
    const text = textOf(Buffer.concat(parts));
    parts = [];
    bytes = 0;
    return { file, line, text, ended };
  };
  try {
    for await (const chunk of stream) {
      let rest: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      for (let at = rest.indexOf(LINE_FEED); at !== -1; at = rest.indexOf(LINE_FEED)) {
        parts.push(rest.subarray(0, at));
        yield take(true);
        rest = rest.subarray(at + 1);
      }
      if (rest.length === 0) continue;
      parts.push(rest);
      bytes += rest.length;
      if (bytes > LINE_BYTES_MAX) {
        throw configError("A line is longer than any of an export.", `${file}:${line + 1}`);
      }
    }
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    throw configError(`The file cannot be read (${codeOf(error)}).`, file, "Check the path.");
  }
  if (parts.length > 0) yield take(false);
  else if (line === 0) yield { file, line, text: "", ended: true };
}

/** What is no UTF-8 becomes what is no JSON, so that it is found where it stands. */
function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return "";
  }
}

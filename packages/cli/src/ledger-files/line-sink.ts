import { open, rm } from "node:fs/promises";
import { configError, outputLost } from "../cli-error.ts";
import { codeOf } from "./system-code.ts";
import type { Session } from "../session.ts";

/** Where an export goes: each piece is taken before the next one is read. */
export interface LineSink {
  /** Whole lines so far. */
  lines(): number;
  write(bytes: Uint8Array): Promise<void>;
  /** Makes what was written durable; a file into which nothing was written is taken away again. */
  close(): Promise<void>;
}

const LINE_FEED = 0x0a;
const countLines = (bytes: Uint8Array): number =>
  bytes.reduce((count, byte) => count + (byte === LINE_FEED ? 1 : 0), 0);

/** A new file that its owner alone may read: the log names people. Null: standard output. */
export async function openLineSink(session: Session, path: string | null): Promise<LineSink> {
  let lines = 0;
  if (path === null) {
    const decoder = new TextDecoder();
    return {
      lines: () => lines,
      write: async (bytes) => {
        lines += countLines(bytes);
        session.text(decoder.decode(bytes, { stream: true }));
        // Else what nobody took would count as exported.
        const lost = await session.io.written();
        if (lost !== null)
          throw outputLost(lost, "Go on after the last whole entry that was kept.");
      },
      close: async () => undefined,
    };
  }
  const file = await open(path, "wx", 0o600).catch((error: unknown) => {
    const todo = "Name a file that does not exist, in a folder that does.";
    throw configError(`The file cannot be made (${codeOf(error)}).`, path, todo);
  });
  let isBegun = false;
  return {
    lines: () => lines,
    write: async (bytes) => {
      isBegun = true;
      try {
        await file.writeFile(bytes);
      } catch (error) {
        const todo = "Make room for it, cut a last line that is not whole, and go on from there.";
        throw configError(`The file cannot be written (${codeOf(error)}).`, path, todo);
      }
      lines += countLines(bytes);
    },
    close: async () => {
      await file.sync();
      await file.close();
      if (!isBegun) await rm(path);
    },
  };
}

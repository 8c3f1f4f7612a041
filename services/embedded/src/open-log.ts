import { open } from "node:fs/promises";

/** A file that log lines are appended to; `close` waits for what is still being written. */
export interface LogFile {
  write(line: string): void;
  close(): Promise<void>;
}

export async function openLog(path: string): Promise<LogFile> {
  const handle = await open(path, "a", 0o600);
  const stream = handle.createWriteStream();
  return {
    write: (line) => {
      stream.write(line);
    },
    close: () =>
      new Promise((resolve) => {
        stream.end(() => resolve());
      }),
  };
}

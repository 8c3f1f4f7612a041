const lineLengthMax = 8_192;

/** Turns chunks of a server's output into lines; a longer line is cut into several. */
export function lineSplitter(onLine: (line: string) => void): (chunk: string) => void {
  let pending = "";
  return (chunk) => {
    const lines = (pending + chunk).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) onLine(line);
    while (pending.length > lineLengthMax) {
      onLine(pending.slice(0, lineLengthMax));
      pending = pending.slice(lineLengthMax);
    }
  };
}

/** Remembers the newest `kept` lines, so that an error can tell what a server said last. */
export function newestLines(kept: number): { add(line: string): void; list(): string[] } {
  const lines: string[] = [];
  return {
    add: (line) => {
      lines.push(line);
      if (lines.length > kept) lines.shift();
    },
    list: () => [...lines],
  };
}

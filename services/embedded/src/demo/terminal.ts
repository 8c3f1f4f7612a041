import { createColors } from "picocolors";

/** What the demo prints: one line per fact, numbers in columns, colour only as emphasis. */
export interface Terminal {
  title(text: string): void;
  fact(name: string, text: string): void;
  scene(number: number, text: string): void;
  timed(ms: number, name: string, text: string): void;
  /** A fact that no time was measured for. */
  said(name: string, text: string): void;
  good(text: string, detail?: string): void;
  refused(text: string, detail: string): void;
  plain(text: string): void;
}

export function createTerminal(write: (text: string) => void, colour: boolean): Terminal {
  const paint = createColors(colour);
  const line = (text: string): void => write(`${text}\n`);
  return {
    title: (text) => line(`\n  ${paint.bold("Mayfly")}  ${text}\n`),
    fact: (name, text) => line(`  ${paint.green("✓")} ${name.padEnd(11)} ${text}`),
    scene: (number, text) => line(`\n  ${paint.bold(String(number))}  ${text}`),
    timed: (ms, name, text) =>
      line(`     ${ms.toFixed(1).padStart(7)} ms   ${name.padEnd(10)} ${text}`),
    said: (name, text) => line(`${" ".repeat(18)}${name.padEnd(10)} ${text}`),
    good: (text, detail = "") =>
      line(`     ${text.padEnd(36)} ${paint.green("✓")} ${detail}`.trimEnd()),
    refused: (text, detail) => line(`     ${text.padEnd(36)} ${paint.red("✗")} ${detail}`),
    plain: (text) => line(text),
  };
}

import type { BackendTypeAnswer } from "../api/answers.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Paint } from "../render/paint.ts";

/** What an administrator of the upstream does first, to copy and paste, line by line as it is. */
export function authorityText(authority: BackendTypeAnswer["authority"], paint: Paint): string {
  if (authority.length === 0) return "\nIt needs no authority anywhere.\n";
  const steps = authority.map(({ what, text }) => {
    const lines = text.replace(/\n$/, "").split("\n");
    return `${paint.dim(cleanText(what))}\n${lines.map((line) => `  ${cleanText(line)}\n`).join("")}`;
  });
  return `\nThe authority that it needs there, with names of an example:\n${steps.join("")}`;
}

import { cleanText } from "../render/clean-text.ts";

/**
 * Why a typed text is not taken as it is: it has what nobody sees, such as a character that moves
 * the cursor, which a paste brought along. Null: it has nothing of that.
 */
export function strangeCharacter(text: string): string | null {
  if (!text.isWellFormed()) return "It has half a character. Type it again.";
  const at = Array.from(text).find((character) => cleanText(character) !== character);
  if (at === undefined) return null;
  const code = at.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
  return `It has a character that is not seen (U+${code}). Type it, or name a file.`;
}

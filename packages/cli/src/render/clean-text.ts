/**
 * Controls of terminals (C0, C1), and what is invisible or reorders text around it (bidi): all that
 * Unicode has drawn as nothing but the sixteen variation selectors, which choose between two forms
 * of one character.
 */
const UNSAFE = /[\p{Cc}\u2028\u2029[\p{Default_Ignorable_Code_Point}--[\ufe00-\ufe0f]]]/gv;

/**
 * Text from elsewhere without what would move a cursor, change a colour or reorder what is read:
 * a goal is written by an agent, and is shown on an operator's terminal.
 */
export const cleanText = (text: string): string =>
  text.replaceAll(/[\n\r\t]+/gu, " ").replaceAll(UNSAFE, "\ufffd");

/** One line of JSON in which the same characters are escapes: what reads it gets them unchanged. */
export const jsonText = (value: unknown): string =>
  JSON.stringify(value).replaceAll(UNSAFE, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  );

/** The same for every string in a JSON value, member names included. */
export function cleanStrings(value: unknown): unknown {
  if (typeof value === "string") return cleanText(value);
  if (Array.isArray(value)) return value.map(cleanStrings);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [cleanText(name), cleanStrings(member)]),
    );
  }
  return value;
}

import { strangeCharacter } from "./strange-character.ts";

/** What one answer that is typed may have; longer texts are named by their file. */
export const TYPED_MAX = 2_048;

/** Written to a terminal, it marks what is pasted; most do that. */
export const MARK_PASTES = { on: "\u001b[?2004h", off: "\u001b[?2004l" } as const;
const PASTE = { begin: "\u001b[200~", end: "\u001b[201~" } as const;

/** Keys that edit a line or end it; every other control is no answer to anything. */
const KEYS = new Set(
  "\r\n\b\u007f\t\u001b\u0001\u0002\u0003\u0005\u0006\u000b\u000e\u0010\u0015\u0017",
);
const CONTROL = /\p{Cc}/u;
const END = "\u0004";

/**
 * Between a terminal and a prompt, for one question: bounds what is typed, takes out what is no
 * key, and takes a paste whole or not at all. A line break in it would be an answer, and the next
 * line the answer to the next question, perhaps to one that shows what is typed.
 */
export class KeyFilter {
  readonly #takesText: boolean;
  #held = "";
  #pasted: string | null = null;
  #typed = 0;
  #refusal: string | null = null;
  #hasEnded = false;

  constructor(takesText: boolean) {
    this.#takesText = takesText;
  }

  /** Whether Ctrl-D was typed. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Why what was pasted, or typed beyond the bound, was not taken. Says it once. */
  takeRefusal(): string | null {
    const refusal = this.#refusal;
    this.#refusal = null;
    return refusal;
  }

  /** Keys for the prompt, of what the terminal sent. */
  pass(sent: string): string {
    let [left, keys] = [this.#held + sent, ""];
    this.#held = "";
    while (left !== "") {
      const mark = this.#pasted === null ? PASTE.begin : PASTE.end;
      const at = left.indexOf(mark);
      const held = at === -1 ? heldBack(left, mark) : 0;
      const text = at === -1 ? left.slice(0, left.length - held) : left.slice(0, at);
      this.#held = at === -1 ? left.slice(left.length - held) : "";
      left = at === -1 ? "" : left.slice(at + mark.length);
      if (this.#pasted === null) {
        keys += this.#keysOf(text);
        if (at !== -1) this.#pasted = "";
        continue;
      }
      // One more than is taken, so that it is known to be too long.
      this.#pasted = (this.#pasted + text).slice(0, TYPED_MAX + 3);
      if (at === -1) continue;
      keys += this.#pasteOf(this.#pasted.replace(/\r?\n?$/, ""));
      this.#pasted = null;
    }
    return keys;
  }

  #keysOf(text: string): string {
    let keys = "";
    for (const character of text) {
      if (character === END) this.#hasEnded = true;
      if (CONTROL.test(character)) {
        if (!KEYS.has(character)) continue;
        keys += character;
        // What the terminal sent in the same moment was meant for no question that is asked yet.
        if (character === "\r" || character === "\n") return this.#newLine(keys);
        continue;
      }
      this.#typed += character.length;
      if (this.#typed <= TYPED_MAX) keys += character;
      else this.#refusal ??= TOO_LONG;
    }
    return keys;
  }

  #newLine(keys: string): string {
    this.#typed = 0;
    return keys;
  }

  #pasteOf(text: string): string {
    if (!this.#takesText) return "";
    const refusal = refusalOf(text);
    if (refusal === null) return this.#keysOf(text);
    this.#refusal = refusal;
    // The prompt asks whether this is an answer, and is told why not.
    return "\r";
  }
}

const TOO_LONG = `It is longer than ${TYPED_MAX} characters. Name a file that has it.`;

function refusalOf(text: string): string | null {
  if (text.length > TYPED_MAX) return TOO_LONG;
  if (/[\r\n]/.test(text)) return "What was pasted has several lines. Name a file that has them.";
  return strangeCharacter(text);
}

/** How much of the end may be the beginning of a mark; an Escape alone says nothing here. */
function heldBack(text: string, mark: string): number {
  for (let length = mark.length - 1; length >= 1; length--) {
    if (text.endsWith(mark.slice(0, length))) return length;
  }
  return 0;
}

/** Tokens, key sets, policies and answers of servers are a dozen levels deep at most. */
export const JSON_DEPTH_MAX = 64;

export type JsonReviver = (
  name: string,
  value: unknown,
  context?: { readonly source?: string },
) => unknown;

/**
 * `JSON.parse` of what comes from outside, and of no more than {@link JSON_DEPTH_MAX} levels:
 * deeper is a SyntaxError that quotes nothing. Above some 8,000 levels V8 goes on by other means
 * than its stack, and where such a text then is no JSON after all, what it does to its handles
 * ends the process a little later (SIGSEGV or SIGTRAP; Node 26.10, V8 14.6).
 */
export function parseShallowJson(text: string, reviver?: JsonReviver): unknown {
  if (isDeep(text)) throw new SyntaxError(`the JSON is nested more than ${JSON_DEPTH_MAX} deep`);
  return JSON.parse(text, reviver);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENS: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSES: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/**
 * As deep as the parser goes, up to where the text stops being JSON: beyond that it does not read,
 * and what is counted there can refuse only what it refuses too.
 */
function isDeep(text: string): boolean {
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (isInString) {
      if (code === BACKSLASH) at += 1;
      else if (code === QUOTE) isInString = false;
    } else if (code === QUOTE) isInString = true;
    else if (OPENS.has(code)) {
      depth += 1;
      if (depth > JSON_DEPTH_MAX) return true;
    } else if (CLOSES.has(code)) depth -= 1;
  }
  return false;
}

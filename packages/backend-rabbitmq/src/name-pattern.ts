/**
 * Patterns of names, as RabbitMQ has them: regular expressions of Erlang's `re` (PCRE), which look
 * for a match anywhere. Ours match whole names. So that nothing in a pattern can end the group that
 * it is put into, only forms are taken that PCRE and JavaScript read alike: no `(?…)` but `(?:…)`,
 * no `(*…)`, no `\Q`, no class within a class, no flags.
 */
const CHARACTERS = /^[ -~]{0,200}$/;
/** A backslash before anything but punctuation, `d` or `w`. */
const STRANGE_ESCAPE = /\\(?![!-/:-@[-`{-~dw])/;
const ESCAPED = /\\./g;
const STRANGE_GROUP = /\(\?(?!:)|\(\*/;
/** An empty class, and `[` within a class: PCRE and JavaScript differ on both. */
const STRANGE_CLASS = /\[\^?\]|\[[^\]]*\[/;
/** Topic permissions replace `{username}` and the like; a repetition is all that is meant here. */
const STRANGE_BRACE = /\{(?!\d{1,3}(?:,\d{0,3})?\})/;

/** It is replaced as text, without regard to what a backslash before it means. */
const VARIABLE = /\{(?!\d{1,3}(?:,\d{0,3})?\})[^{}\\]*\}/;

/** Whether the pattern is one that we know how to anchor. */
export function isNamePattern(pattern: string): boolean {
  if (!CHARACTERS.test(pattern) || STRANGE_ESCAPE.test(pattern) || VARIABLE.test(pattern)) {
    return false;
  }
  const bare = pattern.replaceAll(ESCAPED, "x");
  if (STRANGE_GROUP.test(bare) || STRANGE_CLASS.test(bare) || STRANGE_BRACE.test(bare)) {
    return false;
  }
  try {
    return new RegExp(pattern).source.length > 0;
  } catch {
    return false;
  }
}

/**
 * The pattern as the server gets it. `(?s:…)`: a dot is any character, line breaks too, which names
 * may hold. `\z` is the very end, where `$` would let a line break follow. `(?!)` never matches,
 * where RabbitMQ's own word for "nothing", `^$`, matches the empty routing key.
 */
export const anchored = (pattern: string): string =>
  pattern === "" ? "(?!)" : `^(?s:${pattern})\\z`;

const LITERAL = /^(?:[A-Za-z0-9 _\-:/@#%&~,;=<>!"'`]|\\[!-/:-@[-`{-~])/;
const REPEATED = /^[*+?{]/;

interface LiteralStart {
  readonly text: string;
  /** The rest of the pattern, after what is literal. */
  readonly rest: string;
}

/** What each match begins with; a character that is repeated (`a*`) is no part of it. */
function literalStart(pattern: string): LiteralStart {
  let text = "";
  let rest = pattern;
  for (;;) {
    const [form] = LITERAL.exec(rest) ?? [];
    if (form === undefined) return { text, rest };
    const after = rest.slice(form.length);
    if (REPEATED.test(after)) return { text, rest };
    text += form.length === 1 ? form : form.slice(1);
    rest = after;
  }
}

const CLASS = /\[[^\]]*\]/g;

/** The alternatives of a pattern; null where one is within a group, which is not looked into. */
function alternativesOf(pattern: string): readonly string[] | null {
  // Of the same length, with nothing left that could be taken for an alternative's bar.
  const bare = pattern
    .replaceAll(ESCAPED, "xx")
    .replaceAll(CLASS, (text) => "x".repeat(text.length));
  const ends = [...bare.matchAll(/\|/g)].map(({ index }) => index);
  if (bare.includes("(") && ends.length > 0) return null;
  return [...ends, pattern.length].map((end, place) =>
    pattern.slice(place === 0 ? 0 : (ends[place - 1] ?? 0) + 1, end),
  );
}

/**
 * Whether each name that `inner` matches is matched by `outer`. Understands equal patterns, and
 * alternatives of which each is, on the outer side, a literal or a literal and `.*`. Of anything
 * else it says no, though it might be so.
 */
export function isPatternWithin(inner: string, outer: string): boolean {
  if (inner === outer || inner === "" || outer === ".*") return true;
  if (outer === "") return false;
  const [narrow, wide] = [alternativesOf(inner), alternativesOf(outer)];
  if (narrow === null || wide === null) return false;
  const starts = wide.map(literalStart);
  return narrow.every((alternative) => {
    const { text, rest } = literalStart(alternative);
    return starts.some((each) => {
      if (each.rest === ".*") return text.startsWith(each.text);
      return each.rest === "" && rest === "" && each.text === text;
    });
  });
}

/** A test as a page names it: `` `path` › "title" ``, which may be wrapped between words. */
export interface NamedTest {
  readonly path: string;
  readonly title: string;
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ");

const REFERENCE = /`([\w./-]+\.ts)`\s+›\s+"([^"]+)"/g;

/** Every test that a page names, in order. */
export const testsNamedIn = (page: string): readonly NamedTest[] =>
  [...page.matchAll(REFERENCE)].map(([, path = "", title = ""]) => ({
    path,
    title: oneLine(title),
  }));

/** Arrows that introduce no whole reference: a name that nobody would check. */
export const arrowsAstray = (page: string): readonly string[] => {
  const without = page.replaceAll(REFERENCE, "");
  return without.split("\n").filter((line) => line.includes("›"));
};

/**
 * The titles of a file's tests, as they are written: `test("…", `, `it("…", `, and what follows an
 * `each`. Neither a `describe` nor a comment gives one.
 */
export function titlesIn(source: string): ReadonlySet<string> {
  const code = source.replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, "");
  const call = /(?:\b(?:test|it)(?:\.(?!each|for)\w+)*|\))\(\s*"((?:[^"\\\n]|\\.)*)"\s*,/g;
  return new Set(
    [...code.matchAll(call)].map(([, title = ""]) => title.replaceAll(/\\(.)/g, "$1")),
  );
}

/**
 * What is wrong with a page: tests that are not there. `read` answers null for a file that is
 * not.
 */
export function namedButGone(
  page: string,
  read: (path: string) => string | null,
): readonly string[] {
  return testsNamedIn(page).flatMap(({ path, title }) => {
    const source = read(path);
    if (source === null) return [`there is no file ${path}`];
    return titlesIn(source).has(title) ? [] : [`${path} has no test "${title}"`];
  });
}

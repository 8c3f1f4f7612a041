/** A rule on the text of files, one by one. */
export interface TextRule {
  readonly name: string;
  readonly why: string;
  /** The paths that it is about. */
  readonly applies: (path: string) => boolean;
  /** What is wrong, as a line each; nothing when all is well. */
  readonly problems: (text: string, path: string) => readonly string[];
  /** Files that break it, and ones beside them that do not: the rule's own test. */
  readonly seeds: {
    readonly broken: readonly (readonly [path: string, text: string])[];
    readonly sound: readonly (readonly [path: string, text: string])[];
  };
}

const isSource = (path: string): boolean => /\.(ts|mjs)$/.test(path);
const isTest = (path: string): boolean =>
  path.endsWith(".test.ts") || /^(test|packages\/testkit)\//.test(path);
const isProduct = (path: string): boolean =>
  /^(packages|services)\/.*\.ts$/.test(path) &&
  !isTest(path) &&
  !/^(packages\/embedded|services\/embedded)\//.test(path);
const isText = (path: string): boolean =>
  /\.(ts|mjs|json|ya?ml|md|sql|sh|cedar)$|^\.ci\/|Dockerfile/.test(path) &&
  path !== "pnpm-lock.yaml" &&
  // Written by pg_dump, and compared with what it writes.
  path !== "migrations/schema.sql";

const MAX_COLUMNS = 100;
const MAX_COLUMNS_WITH_TEXT = 120;

/** The formatter breaks no literal, and nobody can break a link; a comment can always be. */
function mayBeLonger(line: string): boolean {
  if (/https?:\/\/\S{40}/.test(line)) return true;
  const isComment = /^\s*(\/\/|\/?\*|#|--)/.test(line);
  return !isComment && /(["'`/]).{30,}\1/.test(line);
}

const MAX_KIBIBYTES = 256;

/** The lines that a pattern matches, as problems. */
const matching =
  (pattern: RegExp) =>
  (text: string): readonly string[] =>
    text
      .split("\n")
      .flatMap((line, i) => (pattern.test(line) ? [`line ${i + 1}: ${line.trim()}`] : []));

// Put together here, since this file keeps to its own rules.
const word = (...parts: readonly string[]): string => parts.join("");
const WORKPLACES = [
  ["/wo", "rk/"],
  ["/tm", "p/mf"],
  ["/op", "t/mf"],
  ["/ro", "ot/"],
].map((parts) => word(...parts));

export const TEXT_RULES: readonly TextRule[] = [
  {
    name: "lines have at most 100 columns",
    why: "Two files fit beside each other; what cannot be broken, a text or a link, may be longer.",
    applies: (path) =>
      isSource(path) || (path.endsWith(".sql") && isText(path)) || path.startsWith(".ci/"),
    problems: (text) =>
      text.split("\n").flatMap((line, i) => {
        const most = mayBeLonger(line) ? MAX_COLUMNS_WITH_TEXT : MAX_COLUMNS;
        return line.length > most ? [`line ${i + 1}: ${line.length} columns`] : [];
      }),
    seeds: {
      broken: [
        ["a.ts", "x".repeat(101)],
        ["b.ts", `// ${'a "quoted" word '.repeat(7)}`],
        ["c.ts", `  "${"x".repeat(118)}",`],
      ],
      sound: [
        ["a.ts", "é".repeat(100)],
        ["b.ts", `// https://example.test/${"x".repeat(90)}`],
        ["c.ts", `  "${"x".repeat(110)}",`],
      ],
    },
  },
  {
    name: "no file is larger than 256 KiB",
    why: "A review, a search and a clone get slower by each such file.",
    applies: (path) => path !== "pnpm-lock.yaml",
    problems: (text) =>
      text.length > MAX_KIBIBYTES * 1024 ? [`${Math.ceil(text.length / 1024)} KiB`] : [],
    seeds: { broken: [["a.md", "x".repeat(262_145)]], sound: [["a.md", "x".repeat(262_144)]] },
  },
  {
    name: "nothing is named after no thing",
    why: "A file called so collects what belongs nowhere; name it for the one thing it exports.",
    applies: isSource,
    problems: (text, path) => {
      const inPath = /(^|[-/.])(utils?|helpers?|managers?|common|misc|stuff)([-/.]|$)/.test(path);
      const declared = /\b(class|function|interface|type|const) \w*(Manager|Helpers?|Utils?)\b/;
      return [...(inPath ? [`the path ${path}`] : []), ...matching(declared)(text)];
    },
    seeds: {
      broken: [
        ["packages/core/src/date-utils.ts", ""],
        ["packages/core/src/helpers/date.ts", ""],
        ["packages/core/src/lease.ts", word("export class Lease", "Manager {}")],
      ],
      sound: [["packages/core/src/utility-bill.ts", "export const managerId = 1;"]],
    },
  },
  {
    name: "the time is not taken from the air",
    why: "`new Date()` cannot be set by a test or the simulator; take a Clock.",
    applies: (path) => isProduct(path) && !/(clock|main)\.ts$/.test(path),
    problems: matching(/\bnew Date\(\s*\)|(^|[^.\w])Date\(\s*\)/),
    seeds: {
      broken: [["packages/core/src/a.ts", word("const now = new Da", "te();")]],
      sound: [["packages/core/src/a.ts", "const at = new Date(clock.now());"]],
    },
  },
  {
    name: "no cast goes through unknown or never",
    why: "It says that the compiler is wrong; parse, or narrow.",
    applies: isProduct,
    problems: matching(/^(?!\s*(\/\/|\/?\*)).*\bas (unknown as|any\b|never\b)/),
    seeds: {
      broken: [["packages/core/src/a.ts", word("const a = b as unk", "nown as string;")]],
      sound: [
        ["packages/core/src/a.ts", "const a = b as LeaseId; const c: unknown = b as const;"],
        ["packages/core/src/b.ts", " * is read as strictly as any other"],
      ],
    },
  },
  {
    name: "no rule is switched off in the code",
    why: "An exception belongs in the configuration, by file and with its reason.",
    applies: isSource,
    problems: matching(/(oxlint|eslint)-dis[a]ble|@ts-(ig[n]ore|expect-er[r]or|noch[e]ck)/),
    seeds: {
      broken: [["a.ts", word("// oxlint-dis", "able-next-line")]],
      sound: [["a.ts", "// the rule is disabled by file"]],
    },
  },
  {
    name: "nothing is left to do",
    why: "What is not done has an issue; a note in the code has no owner.",
    applies: (path) => isSource(path) || path.endsWith(".sql"),
    problems: matching(/\b(TO[D]O|FI[X]ME|X[X]X|HA[C]K)\b/),
    seeds: {
      broken: [["a.ts", word("// TO", "DO: finish")]],
      sound: [["a.ts", "const toDo = 1;"]],
    },
  },
  {
    name: "no test is left out",
    why: "A suite that skips is green for what it did not run; skipIf names its condition.",
    applies: (path) => path.endsWith(".test.ts"),
    problems: matching(/^\s*(test|it|describe)(\.\w+)*\.(skip|only|todo|fails)\b/),
    seeds: {
      broken: [["a.test.ts", word("test.sk", "ip('a', () => {});")]],
      sound: [["a.test.ts", "describe.skipIf(redis === undefined)('a', () => {});"]],
    },
  },
  {
    name: "no path of one machine",
    why: "What names the place where it was written works nowhere else.",
    applies: isText,
    problems: (text) => matching(new RegExp(`(^|[\\s"'\`(=])(${WORKPLACES.join("|")})`))(text),
    seeds: {
      broken: WORKPLACES.map((path) => ["a.md", `See ${path}x.`] as const),
      sound: [["a.md", "See test/network/x, mayfly/root/v1 and /tmp/x."]],
    },
  },
];

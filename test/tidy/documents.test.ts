import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { ERROR_CODES } from "@mayfly/spec";
import { describe, expect, test } from "vitest";
import { manifests, read, repositoryFiles, ROOT } from "./repository.ts";

/** The names in backticks of a table's first column. */
const firstColumn = (page: string): readonly string[] =>
  [...page.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name ?? "");

/** Every name in backticks, anywhere on a page. */
const quotedNames = (page: string): ReadonlySet<string> =>
  new Set([...page.matchAll(/`([^`\n]+)`/g)].map(([, name]) => name ?? ""));

const missing = (wanted: readonly string[], there: ReadonlySet<string>): readonly string[] =>
  wanted.filter((name) => !there.has(name));

describe("docs/errors.md", () => {
  test("has every error code, and no other", () => {
    const codes = Object.keys(ERROR_CODES);
    const page = read("docs/errors.md");
    expect(codes.length).toBeGreaterThan(15);
    expect(missing(codes, quotedNames(page))).toEqual([]);
    expect(missing(firstColumn(page), new Set(codes))).toEqual([]);
  });
});

describe("docs/config.md", () => {
  test("has every variable that the code names", async () => {
    const sources = (await repositoryFiles()).filter(
      (path) => /^(packages|services)\/.*\.ts$/.test(path) && !path.endsWith(".test.ts"),
    );
    const named = new Set(
      sources.flatMap((path) =>
        [...read(path).matchAll(/"(MAYFLY_[A-Z0-9_]+)"/g)].map(([, name]) => name ?? ""),
      ),
    );
    expect(named.size).toBeGreaterThan(15);
    const page = quotedNames(read("docs/config.md"));
    expect(missing([...named], page)).toEqual([]);
  });
});

describe("docs/dependencies.md", () => {
  /** Direct dependencies from outside; `name: npm:other@1` is known by its own name. */
  const direct = async (): Promise<ReadonlySet<string>> =>
    new Set(
      (await manifests())
        .flatMap((each) => Object.keys({ ...each.dependencies, ...each.devDependencies }))
        .filter((name) => !name.startsWith("@mayfly/")),
    );

  test("gives one line of reason for every direct dependency, and for nothing else", async () => {
    const [names, listed] = [await direct(), firstColumn(read("docs/dependencies.md"))];
    expect(names.size).toBeGreaterThan(20);
    expect(missing([...names], new Set(listed))).toEqual([]);
    expect(missing(listed, names)).toEqual([]);
    expect(listed.length, "a name twice").toBe(new Set(listed).size);
  });

  test("has a reason in each line", () => {
    const rows = read("docs/dependencies.md").match(/^\| `.*$/gm) ?? [];
    expect(rows.filter((row) => (row.split("|")[2] ?? "").trim().length < 20)).toEqual([]);
  });
});

describe("docs/backends", () => {
  test("has a page for every backend type", async () => {
    const types = (await manifests())
      .map(({ folder }) => /^packages\/backend-(.+)$/.exec(folder)?.[1])
      .filter((type) => type !== undefined && type !== "kit");
    expect(types).toContain("postgres");
    expect(types.filter((type) => !existsSync(join(ROOT, "docs/backends", `${type}.md`)))).toEqual(
      [],
    );
  });
});

describe("documents", () => {
  const PATH =
    /`((?:packages|services|test|docs|infra|migrations|bootstrap|\.ci)\/[^`\s*<>{}…$:#]*)`/g;
  const pathsIn = (page: string): readonly string[] =>
    [...page.matchAll(PATH)].map(([, path]) => path ?? "");

  test("name no file that is not there", async () => {
    const pages = (await repositoryFiles()).filter((path) => path.endsWith(".md"));
    const named = pages.flatMap((page) => pathsIn(read(page)).map((path) => ({ page, path })));
    expect(named.length).toBeGreaterThan(5);
    const gone = named.filter(({ path }) => !existsSync(join(ROOT, path)));
    expect(gone.map(({ page, path }) => `${page} names ${path}`)).toEqual([]);
  });

  const LINK = /(?<!!)\[[^\]]+\]\(([^)\s]+)\)/g;
  /** Relative links of a page; code is no link. */
  const linksIn = (page: string): readonly string[] =>
    [...page.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(LINK)]
      .map(([, target]) => target ?? "")
      .filter((target) => !/^[a-z]+:/.test(target));

  /** Anchors as GitHub makes them of headings, and those that stand in the page. */
  const anchorsOf = (page: string): ReadonlySet<string> =>
    new Set([
      ...[...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
          .replaceAll(" ", "-"),
      ),
      ...[...page.matchAll(/<a id="([^"]+)"/g)].map(([, id]) => id ?? ""),
    ]);

  const leadsNowhere = (from: string, link: string): boolean => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? from : join(dirname(from), path);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsOf(read(target)).has(anchor);
  };

  test("have links that lead somewhere, to the heading that they name", async () => {
    const pages = (await repositoryFiles()).filter((path) => path.endsWith(".md"));
    const links = pages.flatMap((page) => linksIn(read(page)).map((link) => ({ page, link })));
    expect(links.length).toBeGreaterThan(20);
    const broken = links.filter(({ page, link }) => leadsNowhere(page, link));
    expect(broken.map(({ page, link }) => `${page}: ${link}`)).toEqual([]);
  });

  test("would be found out if a link led nowhere", () => {
    const page = "[a](gone.md) [b](https://example.test) [c](#here)\n```\n[d](code.md)\n```\n";
    expect(linksIn(page)).toEqual(["gone.md", "#here"]);
    expect(leadsNowhere("README.md", "gone.md")).toBe(true);
    expect(leadsNowhere("README.md", "README.md#no-such-heading")).toBe(true);
    expect(leadsNowhere("docs/errors.md", "../SECURITY.md#reporting")).toBe(false);
    expect([...anchorsOf("## A `code` word, and more\n")]).toEqual(["a-code-word-and-more"]);
  });

  test("would be found out if they did", () => {
    expect(pathsIn("See `packages/core/src/gone.ts`, and `docs/<type>.md` is a pattern.")).toEqual([
      "packages/core/src/gone.ts",
    ]);
    expect(missing(["a", "b"], quotedNames("only `a`"))).toEqual(["b"]);
    expect(firstColumn("| `a` | x |\n| b | `c` |")).toEqual(["a"]);
  });
});

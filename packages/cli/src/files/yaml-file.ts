import { readFileSync, statSync } from "node:fs";
import { isMap, isScalar, LineCounter, parseAllDocuments, visit, type Document } from "yaml";
import { configError } from "../cli-error.ts";
import { YAML_ERRORS } from "./yaml-errors.ts";

const FILE_BYTES_MAX = 1024 * 1024;

/** One document of a YAML file, and where its parts stand. */
export interface YamlDocument {
  readonly value: unknown;
  /** `file:line:column` of the member at `path`, or of the nearest thing above it. */
  placeOf(path: readonly (string | number)[]): string;
}

/** A regular file of at most 1 MiB: a device or a pipe would be read without end. */
export function readTextFile(path: string): string {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw configError("This is no regular file.", path);
    if (stat.size > FILE_BYTES_MAX) throw configError("The file is larger than 1 MiB.", path);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    throw configError(`The file cannot be read: ${String(error.code)}.`, path, "Check the path.");
  }
}

/**
 * The documents of a YAML 1.2 file. Strict: what one reader of the text sees is what another sees.
 * A key that stands twice is an error with its line, and so are keys that are no plain text (`1`
 * and `"1"` are one member) or have no value, tags that mean nothing here, and the rules of YAML
 * 1.1 (`no`, `010`, `<<`). No error quotes the text: a secret may stand in it.
 */
export function readYamlFile(path: string): readonly YamlDocument[] {
  return parseYaml(readTextFile(path), path);
}

export function parseYaml(text: string, path: string): readonly YamlDocument[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  if ("empty" in documents) return [];
  return documents.map((document) => {
    const [broken] = [...document.errors, ...document.warnings];
    const error =
      broken === undefined
        ? strange(document)
        : { message: YAML_ERRORS[broken.code], pos: broken.pos };
    if (error !== null) {
      const { line, col } = lines.linePos(error.pos[0]);
      throw configError(`This is no YAML: ${error.message}`, `${path}:${line}:${col}`);
    }
    const value = valueOf(document, path);
    return { value, placeOf: (at) => placeIn(document, lines, path, at) };
  });
}

interface Strange {
  readonly message: string;
  readonly pos: readonly [number, ...unknown[]];
}

/** The first thing that readers of YAML take differently, or that was hardly meant; null: none. */
function strange(document: Document): Strange | null {
  const { version } = document.directives?.yaml ?? {};
  if (version !== undefined && version !== "1.2") {
    return { message: `it says that it is of version ${version}; leave that out`, pos: [0] };
  }
  let found: Strange | null = null;
  const stop = (message: string, node: unknown): symbol => {
    found = { message, pos: [startOf(node) ?? 0] };
    return visit.BREAK;
  };
  const anchors = new Set<string>();
  const remember = (_at: unknown, { anchor }: { readonly anchor?: string }): void => {
    if (anchor !== undefined) anchors.add(anchor);
  };
  visit(document, {
    Alias: (_at, alias) => (anchors.has(alias.source) ? undefined : stop(NO_ANCHOR, alias)),
    Collection: remember,
    Scalar: remember,
    Pair: (_at, { key, value }) => {
      const isText = isScalar(key) && typeof key.value === "string" && key.tag === undefined;
      if (!isText || key.value === "__proto__") {
        return stop("a key is plain text, and not __proto__", key);
      }
      return value === null ? stop(NO_VALUE, key) : undefined;
    },
  });
  return found;
}

const NO_ANCHOR = "an alias (*) of what is not there; put a text that begins with * in quotes";
const NO_VALUE = "a key without a value; put a text with a comma, a colon or braces in quotes";

/** Aliases are bounded: a hundred lines of them can stand for more than memory holds. */
function valueOf(document: Document, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    const what = "This YAML cannot be read: its aliases stand for more than is read.";
    throw configError(what, path, "Write it without aliases.");
  }
}

function placeIn(
  document: Document,
  lines: LineCounter,
  file: string,
  path: readonly (string | number)[],
): string {
  for (let length = path.length; length >= 0; length--) {
    const start = startOf(nodeAt(document, path.slice(0, length)));
    if (start === null) continue;
    const { line, col } = lines.linePos(start);
    return `${file}:${line}:${col}`;
  }
  return file;
}

/** The key of a member, where there is one: a complaint about a member starts there. */
function nodeAt(document: Document, path: readonly (string | number)[]): unknown {
  const name = path.at(-1);
  if (name === undefined) return document.contents;
  const above: unknown =
    path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(above)) return document.getIn(path, true);
  return above.items.find(({ key }) => isScalar(key) && String(key.value) === String(name))?.key;
}

function startOf(node: unknown): number | null {
  if (typeof node !== "object" || node === null || !("range" in node)) return null;
  const range: unknown = node.range;
  const first: unknown = Array.isArray(range) ? range[0] : null;
  return typeof first === "number" ? first : null;
}

/** `[2].task.dedline`, as errors name a place, as a path. */
export const pathOfPlace = (place: string): readonly (string | number)[] =>
  [...place.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, name]) =>
    index === undefined ? (name ?? "") : Number(index),
  );

import type { Certificate } from "./certificate.ts";

/** A name as RFC 4514 writes it: most specific part first, each of one attribute or of more. */
export type DistinguishedName = readonly [NamePart, ...NamePart[]];
/** In one order, whatever it was written in: a part is a set. */
type NamePart = readonly [Attribute, ...Attribute[]];
interface Attribute {
  /** A dotted OID. */
  readonly type: string;
  readonly text: string;
}

/** RFC 4514 section 3, and what certificates of machines have besides, as OpenSSL names it. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ["CN", "2.5.4.3"],
  ["SERIALNUMBER", "2.5.4.5"],
  ["C", "2.5.4.6"],
  ["L", "2.5.4.7"],
  ["ST", "2.5.4.8"],
  ["STREET", "2.5.4.9"],
  ["O", "2.5.4.10"],
  ["OU", "2.5.4.11"],
  ["TITLE", "2.5.4.12"],
  ["DC", "0.9.2342.19200300.100.1.25"],
  ["UID", "0.9.2342.19200300.100.1.1"],
  ["EMAILADDRESS", "1.2.840.113549.1.9.1"],
]);
const ATTRIBUTE = /^\s*([A-Za-z]+|\d+(?:\.\d+)+)=(.+)$/su;
/**
 * RFC 4514 section 3: what has to be escaped is, a `#` where it would begin a value in hexadecimal,
 * a space at either end. What is escaped is a character that may be, or a byte of UTF-8.
 */
const VALUE = /^(?![ #])(?:[^\\"+,;<>\0]|\\[ "#+,;<=>\\]|\\[0-9A-Fa-f]{2})+$/u;
/** Of a value, one after the other: bytes of UTF-8, an escaped character, or what stands there. */
const PIECES = /((?:\\[0-9A-Fa-f]{2})+)|\\(.)|([^\\]+)/gsu;
const ATTRIBUTES_MAX = 20;

/**
 * Null for what is no such name, and for values in hexadecimal (`#04…`), which this comparison does
 * not know.
 */
export function parseDistinguishedName(text: string): DistinguishedName | null {
  const parts = splitAt(text, ",").map(parsePart);
  const [first = null, ...rest] = parts;
  const known = rest.filter((part) => part !== null);
  if (first === null || known.length < rest.length) return null;
  return [first, ...known].flat().length > ATTRIBUTES_MAX ? null : [first, ...known];
}

/** Where no backslash stands before it. */
function splitAt(text: string, separator: "," | "+"): readonly string[] {
  const found = [""];
  for (const [piece] of text.matchAll(/\\.|[^\\]|\\$/gsu)) {
    if (piece === separator) found.push("");
    else found.push(`${found.pop() ?? ""}${piece}`);
  }
  return found;
}

function parsePart(text: string): NamePart | null {
  const attributes = splitAt(text, "+").map(parseAttribute);
  const known = attributes.filter((attribute) => attribute !== null);
  return known.length < attributes.length ? null : ordered(known);
}

/** Null for none, and for one that is there twice: which a set has once. */
function ordered(attributes: readonly Attribute[]): NamePart | null {
  const sorted = attributes.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const [first, ...rest] = sorted;
  if (first === undefined || new Set(sorted.map(keyOf)).size < sorted.length) return null;
  return [first, ...rest];
}

const keyOf = ({ type, text }: Attribute): string => `${type}=${text}`;

function parseAttribute(text: string): Attribute | null {
  const [, named = "", written = ""] = ATTRIBUTE.exec(text) ?? [];
  const type = /^\d/.test(named) ? named : TYPES.get(named.toUpperCase());
  const value = withoutSpaces(written);
  if (type === undefined || !VALUE.test(value)) return null;
  const plain = unescaped(value);
  return plain === null ? null : { type, text: plain };
}

/** Those at the end that no backslash stands before. */
const withoutSpaces = (value: string): string => {
  const bare = value.replace(/ +$/u, "");
  const isEscaped = /(?:^|[^\\])(?:\\\\)*\\$/su.test(bare) && bare.length < value.length;
  return isEscaped ? `${bare}${value.charAt(bare.length)}` : bare;
};

/** Null where the bytes are no UTF-8. */
function unescaped(value: string): string | null {
  try {
    return value.replaceAll(PIECES, (_, bytes?: string, character?: string, plain?: string) =>
      bytes === undefined ? (character ?? plain ?? "") : utf8Of(bytes),
    );
  } catch {
    return null;
  }
}

const utf8Of = (bytes: string): string =>
  new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
    Buffer.from(bytes.replaceAll("\\", ""), "hex"),
  );

/**
 * Exactly, part by part: stricter than RFC 4517 section 4.2.15, which passes over case and spaces.
 * A certificate's parts stand the other way round, the most general first.
 */
export function isNameOf(
  name: DistinguishedName,
  { subject }: Pick<Certificate, "subject">,
): boolean {
  const parts = subject.toReversed();
  return (
    parts.length === name.length &&
    parts.every((attributes, at) => {
      const known = attributes.flatMap(({ type, text }) => (text === null ? [] : { type, text }));
      const part = known.length < attributes.length ? null : ordered(known);
      return part !== null && isSamePart(part, name[at] ?? []);
    })
  );
}

const isSamePart = (a: readonly Attribute[], b: readonly Attribute[]): boolean =>
  a.length === b.length && a.every((each, at) => keyOf(each) === keyOf(b[at] ?? NONE));
const NONE: Attribute = { type: "", text: "" };

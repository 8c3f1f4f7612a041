import type { Certificate } from "./certificate.ts";

/** A name as RFC 4514 writes it: most specific part first, each of one attribute. */
export type DistinguishedName = readonly [NamePart, ...NamePart[]];
interface NamePart {
  /** A dotted OID. */
  readonly type: string;
  readonly text: string;
}

/** RFC 4514 section 3, and what certificates of machines have besides. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ["CN", "2.5.4.3"],
  ["SERIALNUMBER", "2.5.4.5"],
  ["C", "2.5.4.6"],
  ["L", "2.5.4.7"],
  ["ST", "2.5.4.8"],
  ["STREET", "2.5.4.9"],
  ["O", "2.5.4.10"],
  ["OU", "2.5.4.11"],
  ["DC", "0.9.2342.19200300.100.1.25"],
  ["UID", "0.9.2342.19200300.100.1.1"],
]);
const PART =
  /^\s*(?<type>[A-Za-z]+|\d+(?:\.\d+)+)=(?<value>(?:[^\\,+"<>;#\s]|\s(?!\s*$)|\\.)+)\s*$/u;
/** At a comma that no backslash stands before. */
const PARTS = /(?:[^\\,]|\\.)+/gu;
const ESCAPED = /\\([ "#+,;<=>\\])/gu;
const PARTS_MAX = 20;

/**
 * Null for what is no such name, and for what this comparison does not know: parts of several
 * attributes, values in hexadecimal, other escapes than of a character that needs one.
 */
export function parseDistinguishedName(text: string): DistinguishedName | null {
  const parts = (text.match(PARTS) ?? []).map(parsePart);
  const known = parts.filter((part) => part !== null);
  const [first, ...rest] = known;
  const isWhole = (text.match(PARTS) ?? []).join(",") === text;
  if (first === undefined || known.length < parts.length || !isWhole) return null;
  return parts.length > PARTS_MAX ? null : [first, ...rest];
}

function parsePart(text: string): NamePart | null {
  const { type = "", value = "" } = PART.exec(text)?.groups ?? {};
  const oid = /^\d/.test(type) ? type : TYPES.get(type.toUpperCase());
  if (oid === undefined || value === "") return null;
  const plain = value.replaceAll(ESCAPED, "");
  return plain.includes("\\") ? null : { type: oid, text: value.replaceAll(ESCAPED, "$1") };
}

/**
 * Exactly, part by part: stricter than RFC 4517 section 4.2.15, which passes over case and spaces.
 * A certificate's parts stand the other way round, the most general first.
 */
export function isNameOf(name: DistinguishedName, { subject }: Certificate): boolean {
  const parts = subject.toReversed();
  return (
    parts.length === name.length &&
    parts.every(([attribute, ...others], at) => {
      const part = name[at];
      return (
        attribute !== undefined &&
        others.length === 0 &&
        attribute.type === part?.type &&
        attribute.text === part.text
      );
    })
  );
}

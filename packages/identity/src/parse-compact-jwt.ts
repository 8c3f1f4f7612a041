import { parseShallowJson } from "@mayfly/spec";
import { Refusal } from "./refusal.ts";

/** Nothing longer is looked at: the largest CI tokens are near 2 KiB (measured: below 4 KiB). */
export const TOKEN_BYTES_MAX = 8192;

export type JsonMap = Readonly<Record<string, unknown>>;

/** A signed text taken apart. Nothing of it is verified. */
export interface CompactJws {
  readonly compact: string;
  readonly header: JsonMap;
}
/** The same, where the payload is a JSON object: a token. */
export interface CompactJwt extends CompactJws {
  /** The bytes that the claims are of. */
  readonly payload: Uint8Array;
  readonly claims: JsonMap;
}

const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * JWS compact serialization (RFC 7515 section 7.1) and nothing else: five parts are a JWE, braces a
 * JSON serialization, and both are refused. The size is tested before anything is decoded.
 */
export function parseCompactJwt(text: string): CompactJwt {
  const [header = "", part = ""] = partsOf(text);
  const parsed = parseJsonPart(header, "the token's header");
  const payload = Buffer.from(part, "base64url");
  const claims = parseJsonObject(payload, "the token's payload");
  return { compact: text, header: parsed, payload, claims };
}

/** As {@link parseCompactJwt}, whatever the payload is. */
export function parseCompactJws(text: string): CompactJws {
  const [header = ""] = partsOf(text);
  return { compact: text, header: parseJsonPart(header, "the token's header") };
}

function partsOf(text: string): readonly string[] {
  // All of the alphabet is one byte each; a longer encoding fails the pattern below anyway.
  if (text.length > TOKEN_BYTES_MAX) {
    throw new Refusal("too_large", `the token is longer than ${TOKEN_BYTES_MAX} bytes`);
  }
  const parts = COMPACT.test(text) ? text.split(".") : [];
  if (parts.length === 0 || !parts.every(isCanonical)) {
    throw new Refusal("malformed", "the token is not a JWS in compact serialization");
  }
  return parts;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/**
 * Whether bytes encode to exactly this (RFC 4648 section 3.5): the bits beyond the last byte are
 * zero, so that one signed text has one spelling.
 */
function isCanonical(part: string): boolean {
  const rest = part.length % 4;
  if (rest === 0) return true;
  const unused = rest === 2 ? 0b1111 : 0b11;
  return rest !== 1 && (ALPHABET.indexOf(part.at(-1) ?? "") & unused) === 0;
}

function parseJsonPart(part: string, what: string): JsonMap {
  return parseJsonObject(Buffer.from(part, "base64url"), what);
}

/** UTF-8 JSON whose top is an object; otherwise refused without a word of the content. */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonMap {
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = parseShallowJson(text);
  } catch {
    // The parser's message quotes its input: it is dropped, not kept as a cause.
    throw new Refusal("malformed", `${what} is not JSON in UTF-8`);
  }
  if (!isJsonMap(value)) throw new Refusal("malformed", `${what} is not a JSON object`);
  if (MAY_OVERFLOW.test(text) && hasInfinity(value)) {
    throw new Refusal("malformed", `${what} has a number that is out of range`);
  }
  return value;
}

/** Only such digits make a number that a double cannot hold; a text may have them as well. */
const MAY_OVERFLOW = /\d[eE]\+?\d{3}|\d{300}/;

function hasInfinity(value: JsonMap): boolean {
  const waiting: unknown[] = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next === "number" && !Number.isFinite(next)) return true;
    if (typeof next === "object" && next !== null) {
      for (const each of Object.values<unknown>({ ...next })) waiting.push(each);
    }
  }
  return false;
}

export function isJsonMap(value: unknown): value is JsonMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An own member: `__proto__`, `constructor` and their like are nobody's claims. */
export function member(map: JsonMap, name: string): unknown {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

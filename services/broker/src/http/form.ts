import { BrokerError } from "@mayfly/spec";
import { shownName } from "./shown-name.ts";

/** May repeat, by RFC 8693 section 2.1. */
const REPEATABLE = new Set(["resource", "audience"]);
const TYPE = /^application\/x-www-form-urlencoded\s*(?:;\s*charset="?utf-8"?\s*)?$/i;

export interface Form {
  /** The value, or null where it is absent or empty (RFC 6749 section 3.2). */
  one(name: string): string | null;
  required(name: string): string;
  all(name: string): readonly string[];
}

/**
 * A form body as RFC 6749 section 3.2 has it: a parameter without a value counts as absent, an
 * unknown one is ignored, a repeated one is refused, but for the two that may repeat. Names are
 * counted here, since parsers of frameworks fold repeats.
 */
export function parseForm(contentType: string | null, body: string): Form {
  if (!TYPE.test(contentType ?? "")) {
    throw new BrokerError(
      "invalid_request",
      "The body must be application/x-www-form-urlencoded in UTF-8.",
      { where: "Content-Type" },
    );
  }
  const values = new Map<string, string[]>();
  for (const pair of body.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = decoded(equals === -1 ? pair : pair.slice(0, equals), null);
    const value = equals === -1 ? "" : decoded(pair.slice(equals + 1), name);
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else if (REPEATABLE.has(name)) known.push(value);
    else
      throw new BrokerError("invalid_request", "A parameter is sent more than once.", {
        where: shownName(name),
      });
  }
  const all = (name: string): readonly string[] =>
    (values.get(name) ?? []).filter((value) => value !== "");
  const one = (name: string): string | null => all(name)[0] ?? null;
  return {
    all,
    one,
    required: (name) => {
      const value = one(name);
      if (value === null) {
        throw new BrokerError("invalid_request", `The parameter ${name} is missing.`, {
          where: name,
        });
      }
      return value;
    },
  };
}

/**
 * Strict, where `URLSearchParams` lets `%zz` stand and makes U+FFFD of bytes that are no UTF-8, so
 * that two bodies would mean one thing.
 */
function decoded(text: string, name: string | null): string {
  // A token has neither, and is most of a body.
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw new BrokerError(
      "invalid_request",
      "The body is not form-encoded: a % is not followed by two hex digits, or what is encoded is " +
        "not UTF-8.",
      { where: name === null ? "body" : shownName(name), cause: plain(cause) },
    );
  }
}

/** `decodeURIComponent` quotes nothing, but what it is given may be a token. */
const plain = (cause: unknown): string => (cause instanceof Error ? cause.name : "not decodable");

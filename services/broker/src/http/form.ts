import { BrokerError } from "@mayfly/spec";

/** May repeat, by RFC 8693 section 2.1. */
const REPEATABLE = new Set(["resource", "audience"]);

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
  if (
    !/^application\/x-www-form-urlencoded\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(contentType ?? "")
  ) {
    throw new BrokerError(
      "invalid_request",
      "The body must be application/x-www-form-urlencoded in UTF-8.",
      { where: "Content-Type" },
    );
  }
  const values = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(body)) {
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else if (REPEATABLE.has(name)) known.push(value);
    else
      throw new BrokerError("invalid_request", "A parameter is sent more than once.", {
        where: shown(name),
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

/** A name that a stranger chose is repeated only if it is harmless to print. */
const shown = (name: string): string =>
  /^[A-Za-z0-9_.-]{1,64}$/.test(name) ? name : "(unprintable)";

import { z } from "zod";
import {
  BrokerError,
  InvalidInput,
  instantMs,
  parseId,
  type IdKind,
  type IdOf,
  type PageRequest,
} from "@mayfly/spec";
import { readBody } from "./read-body.ts";
import type { HttpContext } from "./request-scope.ts";
import { shownName } from "./shown-name.ts";
import { parseStrictJson } from "./strict-json.ts";

const JSON_BODY_BYTES_MAX = 1024 * 1024;

/** The JSON body of one of our own APIs, parsed by `schema`; an empty body counts as `{}`. */
export async function readJson<T>(c: HttpContext, schema: z.ZodType<T>): Promise<T> {
  const text = await readBody(c, JSON_BODY_BYTES_MAX);
  if (text === "") return parsed(schema, {}, "body");
  if (!/^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(contentTypeOf(c))) {
    throw new BrokerError("invalid_request", "The body must be application/json in UTF-8.", {
      where: "Content-Type",
    });
  }
  return parsed(schema, parseStrictJson(text, "body", "invalid_request"), "body");
}

const contentTypeOf = (c: HttpContext): string => c.req.header("content-type") ?? "";

/** The query string, closed-world and without repeats. */
export function readQuery<T>(c: HttpContext, schema: z.ZodType<T>): T {
  const values = new Map<string, string>();
  for (const [name, value] of new URL(c.req.url).searchParams) {
    if (values.has(name)) {
      throw new BrokerError("invalid_request", "A query parameter is sent more than once.", {
        where: shownName(name),
      });
    }
    if (/\p{Cc}/u.test(value)) {
      throw new InvalidInput("A query parameter has control characters; leave them out.", {
        where: `query.${shownName(name)}`,
      });
    }
    values.set(name, value);
  }
  const query = parsed(schema, Object.fromEntries(values), "query");
  refuseBackwards(values);
  return query;
}

/** An empty answer to a range whose ends were swapped would look like "nothing happened". */
function refuseBackwards(values: ReadonlyMap<string, string>): void {
  const [from, until] = ["from", "until"].map((name) => Date.parse(values.get(name) ?? ""));
  if (from === undefined || until === undefined || !(until < from)) return;
  throw new InvalidInput("query.until: is before query.from", { where: "query.until" });
}

/** Throws {@link InvalidInput} for the first issue, with its path; an unknown key is named. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, root: string): T {
  const result = schema.safeParse(value, { error: missingText });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue === undefined) throw new InvalidInput(`${root}: not acceptable`, { where: root });
  const unknownKey = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const path = unknownKey === undefined ? issue.path : [...issue.path, unknownKey];
  const where = path.reduce<string>(
    (text, part) => (typeof part === "number" ? `${text}[${part}]` : `${text}.${shown(part)}`),
    root,
  );
  const why = unknownKey === undefined ? issue.message : "unknown member; leave it out";
  throw new InvalidInput(`${where}: ${why}`, { where });
}

/** The library's words speak of `undefined`; whoever sent JSON left a member out. */
const missingText = ({ code, input }: z.core.$ZodRawIssue): string | undefined =>
  input === undefined && (code === "invalid_type" || code === "invalid_value")
    ? "is missing"
    : undefined;

const shown = (part: PropertyKey): string => shownName(String(part));

export const idParam = <K extends IdKind>(c: HttpContext, kind: K): IdOf[K] =>
  parseId(kind, c.req.param("id"), "id");

/** A whole number in a query, written without sign, fraction or leading zeros. */
export const wholeNumber = (min: number, max: number): z.ZodType<number> =>
  z
    .unknown()
    .meta({ type: "integer", minimum: min, maximum: max })
    .transform((text, context): number => {
      const value = /^(?:0|[1-9]\d{0,14})$/.test(String(text)) ? Number(text) : Number.NaN;
      if (value >= min && value <= max) return value;
      const message = `expected a whole number from ${min} to ${max}`;
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    });

export const PAGE_QUERY = {
  limit: wholeNumber(1, 1000).optional().meta({ description: "Items in one answer; 100." }),
  after: z
    .string()
    .max(512)
    .optional()
    .meta({ description: "`next` of the page before; with the same other parameters." }),
};

export const pageOf = (query: {
  readonly limit?: number | undefined;
  readonly after?: string | undefined;
}): PageRequest => ({ limit: query.limit ?? 100, after: query.after ?? null });

/** `15m`, `90s`, `2h`, `1d`, or whole seconds: the same words as in a task descriptor. */
export { duration as durationSchema } from "@mayfly/core";

const instant = z.iso
  .datetime({ offset: true, error: "expected an instant such as 2026-11-20T22:15:00Z" })
  .transform((text) => instantMs(Date.parse(text)));

export const timeRange = { from: instant.optional(), until: instant.optional() };

const REASON_CHARACTERS_MAX = 1000;

/**
 * Why somebody ends something. Cleaned and never refused for what is in it: control characters and
 * unpaired surrogates become spaces, what is longer is cut. An end must not fail for its text.
 */
export const endReason: z.ZodType<string | undefined> = z
  .string()
  .transform((text) =>
    text
      .slice(0, REASON_CHARACTERS_MAX)
      .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]+/gu, " ")
      .trim(),
  )
  .transform((text) => (text === "" ? undefined : text))
  .optional();

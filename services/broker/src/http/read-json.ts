import { z } from "zod";
import {
  BrokerError,
  InvalidInput,
  parseId,
  type IdKind,
  type IdOf,
  type PageRequest,
} from "@mayfly/spec";
import { readBody } from "./read-body.ts";
import type { HttpContext } from "./request-scope.ts";
import { parseStrictJson } from "./strict-json.ts";

const JSON_BODY_BYTES_MAX = 1024 * 1024;

/** The JSON body of one of our own APIs, parsed by `schema`; an empty body counts as `{}`. */
export async function readJson<T>(c: HttpContext, schema: z.ZodType<T>): Promise<T> {
  const text = await readBody(c.req.raw, c.env?.incoming, JSON_BODY_BYTES_MAX);
  if (text === "") return parsed(schema, {}, "body");
  if (!/^application\/json\s*(?:;.*)?$/i.test(c.req.header("content-type") ?? "")) {
    throw new BrokerError("invalid_request", "The body must be application/json.", {
      where: "Content-Type",
    });
  }
  return parsed(schema, parseStrictJson(text, "body", "invalid_request"), "body");
}

/** The query string, closed-world and without repeats. */
export function readQuery<T>(c: HttpContext, schema: z.ZodType<T>): T {
  const values: Record<string, string> = {};
  for (const [name, list] of Object.entries(c.req.queries())) {
    const [first, ...more] = list;
    if (first === undefined || more.length > 0) {
      throw new BrokerError("invalid_request", "A query parameter is sent more than once.", {
        where: name,
      });
    }
    values[name] = first;
  }
  return parsed(schema, values, "query");
}

/** Throws {@link InvalidInput} for the first issue, with the path to it. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, root: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = [root, ...(issue?.path ?? []).map(String)].join(".");
  throw new InvalidInput(`${where}: ${issue?.message ?? "not acceptable"}`, { where });
}

export const idParam = <K extends IdKind>(c: HttpContext, kind: K): IdOf[K] =>
  parseId(kind, c.req.param("id"), "id");

export const PAGE_QUERY = {
  limit: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, "expected a whole number from 1 to 1000")
    .transform(Number)
    .refine((limit) => limit <= 1000, "expected a whole number from 1 to 1000")
    .optional(),
  after: z.string().max(512).optional(),
};

export const pageOf = (query: {
  readonly limit?: number | undefined;
  readonly after?: string | undefined;
}): PageRequest => ({ limit: query.limit ?? 100, after: query.after ?? null });

/** Whole or fractional seconds, or text such as `15m`. */
export const durationSchema = (secondsMax: number): z.ZodType<number> =>
  z
    .union([
      z.number(),
      z.string().regex(/^\d{1,7}(?:ms|s|m|h)?$/, "expected a duration like 15m or seconds"),
    ])
    .transform((value) => (typeof value === "number" ? value : secondsOf(value)))
    .refine(
      (seconds) => seconds >= 0 && seconds <= secondsMax,
      `expected 0 to ${secondsMax} seconds`,
    );

const UNIT_SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };
function secondsOf(text: string): number {
  const unit = /[a-z]+$/.exec(text)?.[0] ?? "s";
  return Number.parseInt(text, 10) * (UNIT_SECONDS[unit] ?? 1);
}

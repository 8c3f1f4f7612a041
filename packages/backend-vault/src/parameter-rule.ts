import { z } from "zod";

const text = z.string().max(500);
const scalar = z.union([text, z.number(), z.boolean()]);
const value = z.union([scalar, z.array(text).max(32)]);
export type ParameterValue = z.infer<typeof value>;

/** Names of parameters; at most 32 of them. */
export const parameterName = (): z.ZodString =>
  z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, "expected a name of lowercase letters, digits and _");

const few = { message: "at most 32 parameters" };
export const parameterValues = z
  .record(parameterName(), value)
  .refine((values) => Object.keys(values).length <= 32, few);

const rule = z
  .strictObject({
    fixed: value.optional().describe("Always this."),
    one_of: z.array(scalar).min(1).max(64).optional().describe("A request names one of them."),
    like: z
      .string()
      .regex(/^[\w.@:/-]*\*[\w.@:/-]*$/, "expected a text with one *")
      .max(200)
      .optional()
      .describe("A request names a text of this form; * is 1 to 63 letters, digits, - or _."),
  })
  .refine((parts) => Object.values(parts).filter((part) => part !== undefined).length === 1, {
    message: "expected one of fixed, one_of and like",
  });
type ParameterRule = z.infer<typeof rule>;

/** What an engine is sent beside its path: what a role fixes, and what a request may choose. */
export const parameterRules = z
  .record(parameterName(), rule)
  .refine((rules) => Object.keys(rules).length <= 32, few);
export type ParameterRules = z.infer<typeof parameterRules>;

/**
 * What is sent: each parameter of the role, as fixed or as asked, and no other.
 * `beyond` names the first that was not there, not asked for, or asked for wrongly.
 */
export function chooseParameters(
  rules: ParameterRules,
  asked: Readonly<Record<string, ParameterValue>>,
): { readonly values: Record<string, ParameterValue> } | { readonly beyond: string } {
  const stranger = Object.keys(asked).find((name) => !Object.hasOwn(rules, name));
  if (stranger !== undefined) return { beyond: stranger };
  const values: Record<string, ParameterValue> = {};
  for (const [name, given] of Object.entries(rules)) {
    const chosen = choose(given, Object.hasOwn(asked, name) ? asked[name] : undefined);
    if (chosen === null) return { beyond: name };
    values[name] = chosen;
  }
  return { values };
}

function choose(given: ParameterRule, asked: ParameterValue | undefined): ParameterValue | null {
  if (given.fixed !== undefined) {
    return asked === undefined || isSame(asked, given.fixed) ? given.fixed : null;
  }
  if (asked === undefined) return null;
  if (given.one_of !== undefined) return given.one_of.some((one) => one === asked) ? asked : null;
  return given.like !== undefined && typeof asked === "string" && isLike(asked, given.like)
    ? asked
    : null;
}

export const isSame = (one: unknown, other: unknown): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

/** Not by a regular expression: a text of the role is no pattern of ours. */
function isLike(asked: string, like: string): boolean {
  const [begins = "", ends = ""] = like.split("*");
  if (!asked.startsWith(begins) || !asked.endsWith(ends)) return false;
  const middle = asked.slice(begins.length, asked.length - ends.length);
  return asked.length > begins.length + ends.length && /^[\w-]{1,63}$/.test(middle);
}

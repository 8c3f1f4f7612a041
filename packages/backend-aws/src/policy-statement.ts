import { z } from "zod";
import { isPatternWithin } from "./pattern-within.ts";

/**
 * What a role allows, and what a request may narrow it to, in the words of IAM. No `NotAction`, no
 * `NotResource` and no `Deny`: what is not listed is not allowed.
 */

const LIST_MAX = 32;
const STATEMENTS_MAX = 16;
/** Of all statements as JSON: what a request asks is compared with all that its role allows. */
const CHARACTERS_MAX = 8_192;
const OPERATORS_MAX = 8;
const KEYS_MAX = 16;

/** Sorted and without repetition, so that equal meanings have equal forms. */
const normal = (list: readonly string[]): string[] => [...new Set(list)].toSorted();

const action = z
  .string()
  .regex(/^(?:\*|[A-Za-z0-9-]{1,64}:[A-Za-z0-9*?]{1,128})$/, "expected such as s3:GetObject")
  // Of IAM's actions the case means nothing.
  .transform((text) => {
    const [service = "", ...name] = text.split(":");
    return [service.toLowerCase(), ...name].join(":");
  });
const resource = z
  .string()
  .regex(
    /^(?:\*|arn:[A-Za-z0-9*?-]{1,20}:[^\s"$\\\p{Cc}]{1,1000})$/u,
    "expected * or an ARN, without variables",
  );

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html */
const OPERATORS = [
  "String(?:Not)?(?:Equals(?:IgnoreCase)?|Like)",
  "(?:Numeric|Date)(?:(?:Not)?Equals|(?:LessThan|GreaterThan)(?:Equals)?)",
  "Bool",
  "(?:Not)?IpAddress",
  "Arn(?:Not)?(?:Equals|Like)",
];
const OPERATOR = new RegExp(
  `^(?:(?:ForAnyValue|ForAllValues):)?(?:${OPERATORS.join("|")})(?:IfExists)?$|^Null$`,
);
const value = z.string().regex(/^[^"$\\\p{Cc}]{1,512}$/u, "expected a text without variables");
const values = z.array(value).min(1).max(LIST_MAX).transform(normal);
const keyName = z.string().regex(/^[A-Za-z0-9-]{1,64}:[^\s"$\\\p{Cc}]{1,200}$/u, "expected a key");
const conditions = z
  .record(
    z.string().regex(OPERATOR, "expected an operator of conditions"),
    z.record(keyName, values).refine(hasOneTo(KEYS_MAX), {
      message: `expected 1 to ${KEYS_MAX} keys`,
    }),
  )
  .refine((all) => Object.keys(all).length <= OPERATORS_MAX, {
    message: `expected at most ${OPERATORS_MAX} operators`,
  })
  .transform(sorted);

export const statement = z.strictObject({
  actions: z
    .array(action)
    .min(1)
    .max(LIST_MAX)
    .transform(normal)
    .describe("Such as `s3:GetObject` or `s3:Get*`."),
  resources: z
    .array(resource)
    .min(1)
    .max(LIST_MAX)
    .transform(normal)
    .describe("ARNs, with `*` and `?`; no variables."),
  conditions: conditions
    .default({})
    .describe("By operator and key, each a list: `{StringEquals: {aws:RequestedRegion: [x]}}`."),
});
export const statements = z
  .array(statement)
  .min(1)
  .max(STATEMENTS_MAX)
  .refine((all) => JSON.stringify(all).length <= CHARACTERS_MAX, {
    message: `expected at most ${CHARACTERS_MAX} characters in all`,
  });

export type Statement = z.infer<typeof statement>;
type Conditions = Statement["conditions"];

function sorted(
  all: Record<string, Record<string, string[]>>,
): Record<string, Record<string, string[]>> {
  const byName = <T>(record: Record<string, T>): [string, T][] =>
    Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    byName(all).map(([operator, keys]) => [operator, Object.fromEntries(byName(keys))]),
  );
}

function hasOneTo(most: number): (record: Readonly<Record<string, unknown>>) => boolean {
  return (record) => Object.keys(record).length > 0 && Object.keys(record).length <= most;
}

/** Both hold: IAM joins operators, and keys, by "and". Null where one key has two meanings. */
function bothOf(wide: Conditions, asked: Conditions): Conditions | null {
  const joined: Conditions = structuredClone(wide);
  for (const [operator, keys] of Object.entries(asked)) {
    const own = (joined[operator] ??= {});
    for (const [key, list] of Object.entries(keys)) {
      const known = sameKey(own, key);
      if (known !== null && !isNarrower(operator, list, own[known] ?? [])) return null;
      if (known !== null && known !== key) delete own[known];
      own[key] = list;
    }
  }
  return sorted(joined);
}

/** Of condition keys the case means nothing. */
const sameKey = (keys: Readonly<Record<string, unknown>>, key: string): string | null =>
  Object.keys(keys).find((known) => known.toLowerCase() === key.toLowerCase()) ?? null;

/** Of these, values are joined by "or", so fewer mean less. */
const ANY_OF = new Set([
  "StringEquals",
  "StringEqualsIgnoreCase",
  "StringLike",
  "ArnEquals",
  "ArnLike",
  "IpAddress",
  "NumericEquals",
  "DateEquals",
]);
/** Of these, none of the values may be, so more of them mean less. */
const NONE_OF = new Set(["StringNotEquals", "StringNotLike", "ArnNotEquals", "NotIpAddress"]);

function isNarrower(operator: string, inner: readonly string[], outer: readonly string[]): boolean {
  const isAmong = (list: readonly string[], all: readonly string[]): boolean =>
    list.every((each) => all.includes(each));
  if (ANY_OF.has(operator)) return isAmong(inner, outer);
  if (NONE_OF.has(operator)) return isAmong(outer, inner);
  return isAmong(inner, outer) && isAmong(outer, inner);
}

const isListWithin = (
  inner: readonly string[],
  outer: readonly string[],
  form: (text: string) => string,
): boolean => inner.every((text) => outer.some((wide) => isPatternWithin(form(text), form(wide))));

const areWithin = (inner: Statement, outer: Statement): boolean =>
  isListWithin(inner.actions, outer.actions, (text) => text.toLowerCase()) &&
  isListWithin(inner.resources, outer.resources, (text) => text);

/**
 * What was asked, under the conditions of the role's statement that it lies within; null where it
 * lies, evidently, within none.
 */
export function narrowed(asked: Statement, allowed: readonly Statement[]): Statement | null {
  for (const wide of allowed) {
    if (!areWithin(asked, wide)) continue;
    const both = bothOf(wide.conditions, asked.conditions);
    if (both !== null) return { ...asked, conditions: both };
  }
  return null;
}

/** Whether each lies within one of the others, whose conditions it has, or tighter ones. */
export const areAllWithin = (inner: readonly Statement[], outer: readonly Statement[]): boolean =>
  inner.every((narrow) =>
    outer.some((wide) => areWithin(narrow, wide) && isTighter(narrow.conditions, wide.conditions)),
  );

function isTighter(inner: Conditions, outer: Conditions): boolean {
  return Object.entries(outer).every(([operator, keys]) =>
    Object.entries(keys).every(([key, list]) => {
      const own = inner[operator] ?? {};
      const known = sameKey(own, key);
      return known !== null && isNarrower(operator, own[known] ?? [], list);
    }),
  );
}

import { z } from "zod";
import { BrokerError, type ErrorCode, type JsonSchema } from "@mayfly/spec";

/**
 * Parses with a closed-world schema. The first problem is thrown as `code`, naming the path of the
 * offending member below `root` (`authorization_details[0].credentials[1].role`).
 */
export function parseStrict<T>(
  schema: z.ZodType<T>,
  input: unknown,
  code: ErrorCode,
  root: string,
): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue === undefined) throw new BrokerError(code, `${root}: not acceptable`, { where: root });
  const unknownKey = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const path = unknownKey === undefined ? issue.path : [...issue.path, unknownKey];
  const where = pathText(root, path);
  const message =
    unknownKey === undefined ? issueText(issue, input) : "unknown member; leave it out";
  throw new BrokerError(code, `${where}: ${message}`, { where });
}

/** The library's words speak of types of JavaScript; whoever sent JSON left a member out. */
function issueText(issue: z.core.$ZodIssue, input: unknown): string {
  if (issue.code === "invalid_type") {
    const expected = issue.expected === "string" ? "a text" : `of type ${issue.expected}`;
    return valueAt(input, issue.path) === undefined
      ? `is missing; expected ${expected}`
      : `expected ${expected}`;
  }
  if (issue.code === "too_big" && issue.origin === "array") {
    return `expected at most ${issue.maximum} of them`;
  }
  return issue.message;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let here = input;
  for (const part of path) {
    if (typeof here !== "object" || here === null) return undefined;
    here = Reflect.get(here, part);
  }
  return here;
}

/** A member's name in a message is the caller's text: bounded, and without control characters. */
const shownKey = (key: string): string => key.slice(0, 64).replaceAll(/[^\u{20}-\u{7e}]/gu, "?");

function pathText(root: string, path: readonly PropertyKey[]): string {
  const parts = path.map((part) =>
    typeof part === "number" ? `[${part}]` : `.${shownKey(String(part))}`,
  );
  const text = root + parts.join("");
  return root === "" ? text.replace(/^\./, "") : text;
}

/**
 * A schema of a spec `parse*` function, whose message is kept without its own place. `described`
 * is what its input is in a JSON Schema, where nobody can call the function.
 */
export function parsedBy<T>(
  parse: (input: unknown, where: string) => T,
  described: JsonSchema = {},
): z.ZodType<T> {
  const input = z.unknown().meta(described);
  return input.transform((input, context): T => {
    try {
      return parse(input, "");
    } catch (error) {
      const text = BrokerError.is(error) ? error.message.replace(/^: /, "") : "not acceptable";
      context.addIssue({ code: "custom", message: text });
      return z.NEVER;
    }
  });
}

import { InvalidInput } from "@mayfly/spec";
import type { z } from "zod";

/** A member's name is the caller's text: bounded, and nothing but printable ASCII. */
const shown = (key: PropertyKey): string =>
  String(key)
    .slice(0, 64)
    .replaceAll(/[^\u{20}-\u{7e}]/gu, "?");

const pathOf = (where: string, path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}.${shown(key)}`),
    where,
  );

/** Throws {@link InvalidInput} that names the place of the first problem; never shows a value. */
export function parseStrict<T>(schema: z.ZodType<T>, input: unknown, where: string): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  if (issue === undefined) throw new InvalidInput(`${where}: not acceptable`, { where });
  const key = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  if (key !== undefined) {
    const place = pathOf(where, [...issue.path, key]);
    throw new InvalidInput(`${place}: unknown key "${shown(key)}"`, { where: place });
  }
  const place = pathOf(where, issue.path);
  throw new InvalidInput(`${place}: ${issue.message}`, { where: place });
}

import { BrokerError } from "@mayfly/spec";
import type { z } from "zod";

/** `config_invalid` that names the place in the trust root's configuration. */
export function configInvalid(root: string, path: string, problem: string): BrokerError {
  const where = path === "" ? "config" : `config.${path}`;
  return new BrokerError("config_invalid", `trust root ${root}: ${where}: ${problem}`, { where });
}

const ISSUES_SHOWN_MAX = 5;

/** Parses strictly: an unknown key, a missing one or a wrong value is named by its place. */
export function parseStrictly<T extends z.ZodType>(
  schema: T,
  root: string,
  config: unknown,
): z.output<T> {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const [first, ...rest] = result.error.issues.slice(0, ISSUES_SHOWN_MAX);
  const also = rest.map((issue) => `; config.${placeOf(issue)}: ${issue.message}`).join("");
  const place = first === undefined ? "" : placeOf(first);
  throw configInvalid(root, place, `${first?.message ?? "is not acceptable"}${also}`);
}

/** An unknown key is its own place, not the object that has it. */
const placeOf = (issue: z.core.$ZodIssue): string =>
  [...issue.path, ...(issue.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [])]
    .map(String)
    .join(".");

import { EmbeddedError } from "./embedded-error.ts";

/**
 * Types stop a misspelt option only where the object is a literal; this stops the rest.
 * @throws EmbeddedError naming the first key that is not in `known`.
 */
export function refuseUnknownKeys(given: object, known: readonly string[], where: string): void {
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue;
    throw new EmbeddedError({
      what: `unknown option "${key}"`,
      where,
      why: `the options are ${known.join(", ")}`,
      remedy: "Remove it, or correct its spelling.",
    });
  }
}

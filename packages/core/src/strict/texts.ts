import { z } from "zod";

/** Control characters could drive a terminal; unpaired surrogates are no text at all. */
const isClean = (text: string): boolean =>
  text.isWellFormed() &&
  !/[^\P{Cc}\n\t]/u.test(text) &&
  !/[\u{202a}-\u{202e}\u{2066}-\u{2069}]/u.test(text);

/** What {@link isClean} lets through, for JSON Schemas: JSON text has no unpaired surrogates. */
const CLEAN_PATTERN =
  "^[^\\u0000-\\u0008\\u000B-\\u001F\\u007F-\\u009F\\u202A-\\u202E\\u2066-\\u2069]*$";

/** Text of people, 1 to `max` characters (code points), shown and recorded but never trusted. */
export const shownText = (max: number): z.ZodType<string> =>
  z
    .string()
    .min(1, { error: "expected some text" })
    .refine((text) => text.length <= max || Array.from(text).length <= max, {
      error: `expected at most ${max} characters`,
    })
    .refine(isClean, "has control characters or unpaired surrogates; leave them out")
    .meta({ maxLength: max, pattern: CLEAN_PATTERN });

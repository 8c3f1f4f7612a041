import { z } from "zod";

/** Control characters could drive a terminal; unpaired surrogates are no text at all. */
const isClean = (text: string): boolean =>
  text.isWellFormed() &&
  !/[^\P{Cc}\n\t]/u.test(text) &&
  !/[\u{202a}-\u{202e}\u{2066}-\u{2069}]/u.test(text);

/** Text of people, 1 to `max` UTF-16 units, shown and recorded but never trusted. */
export const shownText = (max: number): z.ZodType<string> =>
  z
    .string()
    .min(1)
    .max(max)
    .refine(isClean, "has control characters or unpaired surrogates; leave them out");

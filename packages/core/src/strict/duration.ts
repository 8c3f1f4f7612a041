import type { z } from "zod";
import { InvalidInput, durationSeconds, type DurationSeconds } from "@mayfly/spec";
import { parsedBy } from "./parse-strict.ts";

const UNIT_SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
]);

/**
 * A duration as people write it: `15m`, `90s`, `2h`, `1d`, or a whole number of seconds. Throws
 * {@link InvalidInput} naming `where`, also outside `min` to `max` seconds.
 */
export function parseDuration(
  input: unknown,
  where: string,
  bounds: { readonly min: number; readonly max: number },
): DurationSeconds {
  const seconds = secondsOf(input);
  if (seconds === null) {
    throw new InvalidInput(`${where}: expected a duration like 15m, 90s, 2h or whole seconds`, {
      where,
    });
  }
  if (seconds < bounds.min || seconds > bounds.max) {
    throw new InvalidInput(`${where}: expected ${bounds.min} to ${bounds.max} seconds`, { where });
  }
  return durationSeconds(seconds);
}

function secondsOf(input: unknown): number | null {
  if (typeof input === "number") return Number.isSafeInteger(input) ? input : null;
  if (typeof input !== "string") return null;
  const match = /^(0|[1-9][0-9]{0,8})([smhd])$/.exec(input);
  const unit = UNIT_SECONDS.get(match?.[2] ?? "");
  return unit === undefined ? null : Number(match?.[1]) * unit;
}

export const duration = (min: number, max: number): z.ZodType<DurationSeconds> =>
  parsedBy((input, where) => parseDuration(input, where, { min, max }), {
    anyOf: [
      { type: "integer", minimum: min, maximum: max },
      { type: "string", pattern: "^(0|[1-9][0-9]{0,8})[smhd]$" },
    ],
  });

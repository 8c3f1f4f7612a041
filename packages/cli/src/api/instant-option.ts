import type { Clock } from "@mayfly/spec";
import { usageError } from "../cli-error.ts";

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** An instant (RFC 3339), or a time ago such as `7d`, as the API takes it. */
export function instantOption(
  name: string,
  text: string | undefined,
  clock: Clock,
): string | undefined {
  if (text === undefined) return undefined;
  const ago = /^(\d{1,6})([smhdw])$/.exec(text);
  if (ago !== null) {
    const ms = Number(ago[1]) * (UNIT_MS[ago[2] ?? ""] ?? 0);
    return new Date(clock.now() - ms).toISOString();
  }
  const ms = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d|$)/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw usageError(
      `${name} is no time.`,
      "Give how long ago, such as 15m or 7d, or an instant such as 2026-11-20T22:15:00Z.",
      name,
    );
  }
  return new Date(ms).toISOString();
}

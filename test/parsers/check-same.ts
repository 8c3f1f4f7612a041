import { inspect, isDeepStrictEqual } from "node:util";

/**
 * Throws where the two are not the same. Node's own assertions would show how they differ, for
 * which large inputs take minutes.
 */
export function checkSame(seen: unknown, wanted: unknown): void {
  if (isDeepStrictEqual(seen, wanted)) return;
  throw new Error(`it encodes to another: ${shown(seen)} is not ${shown(wanted)}`);
}

const SHOWN_CHARACTERS = 400;
const shown = (value: unknown): string =>
  inspect(value, { maxStringLength: SHOWN_CHARACTERS, maxArrayLength: 20, depth: 4 });

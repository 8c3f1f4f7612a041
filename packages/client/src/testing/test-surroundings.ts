import { readFile } from "node:fs/promises";
import type { Clock, ProcessSignals, Surroundings } from "../surroundings.ts";
import { systemClock } from "../system-clock.ts";
import { makeKey, sha256 } from "../web-crypto.ts";

export interface TestSurroundings extends Surroundings {
  readonly warnings: readonly Error[];
}

const noSignals: ProcessSignals = {
  on: () => () => undefined,
  others: () => 0,
  raise: () => undefined,
};

/** Variables, time and network of a test; files are the real ones. */
export function testSurroundings(
  variables: Readonly<Record<string, string>> = {},
  more: {
    readonly clock?: Clock;
    readonly fetch?: Surroundings["fetch"];
    readonly signals?: ProcessSignals;
  } = {},
): TestSurroundings {
  const warnings: Error[] = [];
  return {
    clock: more.clock ?? systemClock,
    // The same each time: jitter is no part of what is tested.
    randomBytes: (count) => new Uint8Array(count).fill(128),
    makeKey,
    sha256,
    fetch: more.fetch ?? ((url, init) => fetch(url, init)),
    variable: (name) => variables[name],
    readFile: (path) => readFile(path, "utf8"),
    signals: more.signals ?? noSignals,
    warn: (warning) => warnings.push(warning),
    warnings,
  };
}

import { readFile } from "node:fs/promises";
import process from "node:process";
import type { ProcessSignals, Surroundings } from "./surroundings.ts";
import { systemClock } from "./system-clock.ts";
import { makeKey, sha256 } from "./web-crypto.ts";

const signals: ProcessSignals = {
  on: (name, handler) => {
    process.on(name, handler);
    return () => {
      process.removeListener(name, handler);
    };
  },
  others: (name, ours) => process.listeners(name).filter((one) => one !== ours).length,
  raise: (name) => {
    process.kill(process.pid, name);
  },
};

/** Node, Deno or Bun as it is. */
export const systemSurroundings: Surroundings = {
  clock: systemClock,
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  makeKey,
  sha256,
  fetch: (url, init) => fetch(url, init),
  variable: (name) => {
    try {
      return process.env[name];
    } catch {
      // Deno without the permission to read it: as good as not set.
      return undefined;
    }
  },
  readFile: (path) => readFile(path, "utf8"),
  signals,
  warn: (warning) => process.emitWarning(warning),
};

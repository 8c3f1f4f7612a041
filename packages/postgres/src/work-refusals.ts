import type { Clock } from "@mayfly/spec";
import { faultOf } from "./faults.ts";

/** The server's refusals of any work, whatever it is, and when real work last met one. */
export interface WorkRefusals {
  /** Called with whatever a call to the ledger threw. */
  met(error: unknown): void;
  /** Something was committed: what was refused before is no longer. */
  committed(): void;
  /** Null where none was met since something was committed. */
  latest(): { readonly code: string; readonly ageMs: number } | null;
}

export function createWorkRefusals(clock: Clock): WorkRefusals {
  let latest: { readonly code: string; readonly atMs: number } | null = null;
  return {
    met: (error) => {
      const code = refusalCode(error);
      if (code !== null) latest = { code, atMs: clock.monotonicMs() };
    },
    committed: () => {
      latest = null;
    },
    latest: () =>
      latest === null ? null : { code: latest.code, ageMs: clock.monotonicMs() - latest.atMs },
  };
}

/**
 * SQLSTATE of what no request brings about by itself: no memory, locks, disk or connections left
 * (class 53), an I/O error (58), a server that only reads (25006). Timeouts are none: one request
 * may wait for another's lock.
 */
export function refusalCode(error: unknown): string | null {
  const code = faultOf(error)?.code ?? "";
  return /^(53|58)[0-9A-Z]{3}$|^25006$/.test(code) ? code : null;
}

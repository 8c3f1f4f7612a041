import type { LeaseAnswer } from "../api/answers.ts";
import type { Session } from "../session.ts";
import { clockText, relativeText } from "./time-text.ts";

/** `until 22:15 (live)`, `unknown (connection refused, try 7, next in 38 s)`, `none`. */
export function exposureText(lease: LeaseAnswer, { io }: Session): string {
  const { exposure } = lease;
  switch (exposure.kind) {
    case "none":
      return "none";
    case "until":
      return `until ${clockText(exposure.until, io.clock.now(), io.timeZone)} (${exposure.reason})`;
    case "unknown": {
      if (lease.attempts === 0) return `unknown (${exposure.reason})`;
      const next = lease.next_attempt_at;
      const parts = [lease.last_error ?? exposure.reason, `try ${lease.attempts}`];
      if (next !== null) parts.push(`next ${relativeText(next, io.clock.now())}`);
      return `unknown (${parts.join(", ")})`;
    }
  }
}

/** State, and the outcome of one that ended. */
export const stateText = (lease: LeaseAnswer): string =>
  lease.outcome === null ? lease.state : `${lease.state}: ${lease.outcome}`;

/** When it ends or ended: `in 12 min`, `4 min ago`. */
export const endsText = (lease: LeaseAnswer, { io }: Session): string =>
  relativeText(lease.ended_at ?? lease.end_requested_at ?? lease.expires_at, io.clock.now());

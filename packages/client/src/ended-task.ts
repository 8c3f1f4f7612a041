import { fieldsOf, objectOf, objectsIn, textIn, textOf, type Fields } from "./read-answer.ts";

export type EndState = "completed" | "failed" | "cancelled" | "killed" | "expired";

/** What is left of one credential after the end of its task. */
export interface EndedLease {
  readonly lease: string;
  readonly role: string;
  /** `ended`; or `ending` or `stuck`, where the broker goes on until it is dead. */
  readonly state: string;
  /** `revoked`, `expired`, `absent` or `abandoned`; null while it has not ended. */
  readonly outcome: string | null;
  /** What could still be done with it: `none`, `until` (with the instant), or `unknown`. */
  readonly exposure: "none" | "until" | "unknown";
  readonly exposedUntil: Date | null;
}

/** How a task ended, by the broker's own word. */
export interface EndedTask {
  readonly task: string;
  /** As the task ended, which may be otherwise than was asked: it may have been killed before. */
  readonly state: EndState | (string & {});
  readonly leases: readonly EndedLease[];
}

export function parseEndedTask(answer: Fields): EndedTask {
  const task = objectOf(answer, "task");
  return {
    task: textOf(task, "id"),
    state: textOf(task, "state"),
    leases: objectsIn(answer, "leases").map(parseLease),
  };
}

function parseLease(fields: Fields): EndedLease {
  const exposure = fieldsOf(fields["exposure"]) ?? {};
  const kind = textIn(exposure, "kind");
  const until = Date.parse(textIn(exposure, "until") ?? "");
  return {
    lease: textOf(fields, "id"),
    role: textOf(fields, "role"),
    state: textOf(fields, "state"),
    outcome: textIn(fields, "outcome"),
    exposure: kind === "none" || kind === "until" ? kind : "unknown",
    exposedUntil: Number.isNaN(until) ? null : new Date(until),
  };
}

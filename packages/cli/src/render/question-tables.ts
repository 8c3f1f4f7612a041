import type { LateEndAnswer, PolicyUseAnswer, TouchAnswer } from "../api/security-answers.ts";
import type { Session } from "../session.ts";
import { stateText } from "./exposure-text.ts";
import { initiatorText, policyText } from "./holder-table.ts";
import { table } from "./table.ts";
import { clockSecondsText, clockText, durationText } from "./time-text.ts";

const NOTHING_KNOWN = "-";

/** A workload's leases and denials, in the order in which they are listed. */
export function touchTable(touches: readonly TouchAnswer[], { paint, io }: Session): string {
  const now = io.clock.now();
  return table<TouchAnswer>(
    [
      { title: "AT", cell: ({ at }) => clockSecondsText(at, now, io.timeZone) },
      {
        title: "ROLE",
        cell: (touch) =>
          (touch.kind === "lease" ? touch.holder.lease.role : touch.role) ?? NOTHING_KNOWN,
      },
      {
        title: "RESULT",
        cell: (touch) => (touch.kind === "lease" ? stateText(touch.holder.lease) : "denied"),
        colour: (text, { kind }) => (kind === "denial" ? paint.red(text) : text),
      },
      {
        title: "ON BEHALF OF",
        cell: (touch) =>
          touch.kind === "lease" ? initiatorText(touch.holder.initiator) : NOTHING_KNOWN,
      },
      {
        title: "POLICY",
        cell: (touch) =>
          touch.kind === "lease"
            ? policyText(touch.holder.policy)
            : policyText({
                digest: touch.policy_digest,
                determining_policies: touch.determining_policies,
              }),
      },
      {
        title: "ID",
        cell: (touch) => (touch.kind === "lease" ? touch.holder.lease.id : touch.decision),
      },
    ],
    touches,
    paint,
  );
}

export function lateTable(late: readonly LateEndAnswer[], { paint, io }: Session): string {
  const now = io.clock.now();
  return table<LateEndAnswer>(
    [
      { title: "LEASE", cell: ({ lease }) => lease.id },
      { title: "ROLE", cell: ({ lease }) => lease.role ?? `${lease.backend}/?` },
      { title: "STATE", cell: ({ lease }) => stateText(lease) },
      { title: "DUE", cell: ({ due_at: at }) => clockText(at, now, io.timeZone) },
      { title: "LATE BY", cell: ({ late_seconds: seconds }) => durationText(seconds * 1000) },
      {
        title: "WHY",
        cell: ({ why, lease }) => {
          const text = why.replaceAll("_", " ");
          return lease.last_error === null ? text : `${text}: ${lease.last_error}`;
        },
      },
    ],
    late,
    paint,
  );
}

type PolicyRow = PolicyUseAnswer["policies"][number];

/** Those that never decided anything first, then those that never permitted. */
export function policyTable(policies: readonly PolicyRow[], { paint, io }: Session): string {
  const rank = (policy: PolicyRow): number =>
    policy.permits_ever > 0 ? 2 : policy.denials_ever > 0 ? 1 : 0;
  const verdict = ["never decided anything", "never permitted", ""] as const;
  const of = (count: number, ever: number): string =>
    count === ever ? String(count) : `${count} (${ever} ever)`;
  return table<PolicyRow>(
    [
      { title: "POLICY", cell: ({ id }) => id },
      { title: "PERMITS", cell: (policy) => of(policy.permits, policy.permits_ever) },
      { title: "DENIALS", cell: (policy) => of(policy.denials, policy.denials_ever) },
      {
        title: "LAST",
        cell: ({ last_at: at }) =>
          at === null ? "never" : clockText(at, io.clock.now(), io.timeZone),
      },
      { title: "", cell: (policy) => verdict[rank(policy)] ?? "" },
    ],
    policies.toSorted((a, b) => rank(a) - rank(b)),
    paint,
  );
}

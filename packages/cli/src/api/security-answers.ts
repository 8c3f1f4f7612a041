import { z } from "zod";
import { leaseAnswer } from "./answers.ts";

/** What the command reads of the answers to security teams; see `answers.ts`. */
const text = z.string();
const textOrNull = z.string().nullable();
const count = z.number();

export const holderAnswer = z.object({
  lease: leaseAnswer,
  initiator: z.object({ name: text, basis: text }).nullable(),
  task: z
    .object({ id: text, state: text, goal: text, ref: textOrNull, trust_root: text })
    .nullable(),
  policy: z.object({ digest: text, determining_policies: z.array(text) }).nullable(),
});
export type HolderAnswer = z.output<typeof holderAnswer>;

export const touchAnswer = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("lease"), at: text, holder: holderAnswer }),
  z.object({
    kind: z.literal("denial"),
    at: text,
    decision: text,
    role: textOrNull,
    task: textOrNull,
    determining_policies: z.array(text),
    policy_digest: text,
  }),
]);
export type TouchAnswer = z.output<typeof touchAnswer>;

export const exposureSummaryAnswer = z.object({ leases: count, unknown: count, until: textOrNull });
export type ExposureSummaryAnswer = z.output<typeof exposureSummaryAnswer>;

export const workloadExposureAnswer = z.object({
  workload: text,
  as_of: text,
  leases: exposureSummaryAnswer,
  below: exposureSummaryAnswer,
  tasks_active: count,
  tasks_until: textOrNull,
  may_draw: z.array(text),
  items: z.array(holderAnswer),
  next: textOrNull,
});

export type WorkloadExposureAnswer = z.output<typeof workloadExposureAnswer>;

export const lateEndAnswer = z.object({
  lease: leaseAnswer,
  due_at: text,
  late_seconds: count,
  why: text,
});
export type LateEndAnswer = z.output<typeof lateEndAnswer>;

export const policyUseAnswer = z.object({
  digest: textOrNull,
  activated_at: textOrNull,
  uncounted: count,
  policies: z.array(
    z.object({
      id: text,
      permits: count,
      denials: count,
      permits_ever: count,
      denials_ever: count,
      last_at: textOrNull,
    }),
  ),
});
export type PolicyUseAnswer = z.output<typeof policyUseAnswer>;

export const selectorEndAnswer = z.object({
  id: text,
  target: text,
  selector: z.record(text, text),
  by: text,
  reason: text,
  requested_at: text,
  finished_at: textOrNull,
  result: textOrNull,
});
export type SelectorEndAnswer = z.output<typeof selectorEndAnswer>;

export const endPreviewAnswer = z.object({
  target: text,
  selector: z.record(text, text),
  tasks: count,
  leases: count,
  ending_already: count,
  groups: z.array(
    z.object({ workload: textOrNull, role: textOrNull, backend: text, leases: count }),
  ),
  task_ids: z.array(text),
  lease_ids: z.array(text),
  digest: text,
});
export type EndPreviewAnswer = z.output<typeof endPreviewAnswer>;

export const endReportAnswer = z.object({
  end: selectorEndAnswer,
  tasks: count,
  leases: count,
  appeared: count,
  pending: count,
  states: z.array(z.object({ state: text, outcome: textOrNull, leases: count })),
  exposure: exposureSummaryAnswer,
  items: z.array(leaseAnswer),
  next: textOrNull,
});
export type EndReportAnswer = z.output<typeof endReportAnswer>;

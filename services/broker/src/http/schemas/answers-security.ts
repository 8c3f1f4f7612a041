import { z } from "zod";
import { LEASE_OUTCOMES, LEASE_STATES, TASK_STATES } from "@mayfly/spec";
import { eventAnswer, leaseAnswer, taskAnswer } from "./answers.ts";
import { countShape, idShape, instantShape, nameShape, pageShape } from "./shapes.ts";

/** What security teams are answered; `views/security-views.ts` is checked against it. */
const initiatorAnswer = z
  .strictObject({ name: z.string(), basis: z.enum(["verified", "claimed"]) })
  .nullable()
  .meta({ description: "On whose behalf. `verified`: it came in a token; `claimed`: said alone." });

export const holderAnswer = z
  .strictObject({
    lease: leaseAnswer,
    initiator: initiatorAnswer,
    task: z
      .strictObject({
        id: idShape("task"),
        state: z.enum(TASK_STATES),
        goal: z.string(),
        ref: z.string().nullable(),
        trust_root: z.string(),
      })
      .nullable(),
    policy: z
      .strictObject({ digest: z.string(), determining_policies: z.array(z.string()) })
      .nullable(),
  })
  .meta({
    id: "Holder",
    description: "A lease, on whose behalf, for which task, by which policy.",
  });
export const holdersAnswer = pageShape(holderAnswer);

export const touchedAnswer = pageShape(
  z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("lease"), at: instantShape, holder: holderAnswer }),
    z.strictObject({
      kind: z.literal("denial"),
      at: instantShape,
      decision: idShape("decision"),
      role: z.string().nullable(),
      task: idShape("task").nullable(),
      determining_policies: z.array(z.string()),
      policy_digest: z.string(),
    }),
  ]),
);

export const exposureSummaryAnswer = z
  .strictObject({
    leases: countShape,
    unknown: countShape.meta({ description: "Of these, how many until nobody knows when." }),
    until: instantShape.nullable().meta({ description: "The latest end of the others." }),
  })
  .meta({ id: "ExposureSummary" });
export const workloadExposureAnswer = z.strictObject({
  workload: z.string(),
  as_of: instantShape,
  leases: exposureSummaryAnswer,
  below: exposureSummaryAnswer.meta({
    description: "Leases of others below its tasks: a kill of its tasks ends them too.",
  }),
  tasks_active: countShape,
  tasks_until: instantShape.nullable(),
  may_draw: z.array(nameShape("role")).meta({
    description: "Roles that its active tasks declared: more may be drawn until the tasks end.",
  }),
  items: z.array(holderAnswer),
  next: z.string().nullable(),
});

export const lateEndsAnswer = pageShape(
  z.strictObject({
    lease: leaseAnswer,
    due_at: instantShape,
    late_seconds: z.number(),
    why: z.enum(["failed_attempts", "propagating", "resurfaced", "not_reached"]),
  }),
);

export const policyUseAnswer = z.strictObject({
  digest: z.string().nullable(),
  activated_at: instantShape.nullable(),
  uncounted: countShape.meta({ description: "Entries of the log that are not counted yet." }),
  policies: z.array(
    z.strictObject({
      id: z.string(),
      permits: countShape,
      denials: countShape,
      permits_ever: countShape,
      denials_ever: countShape,
      last_at: instantShape.nullable(),
    }),
  ),
});

export const changesAnswer = pageShape(eventAnswer);

const target = z.enum(["leases", "tasks"]);
const selectorAnswer = z.strictObject({
  workload: z.string().optional(),
  task: idShape("task").optional(),
  backend: nameShape("backend").optional(),
  role: nameShape("role").optional(),
  initiator: z.string().optional(),
  trust_root: z.string().optional(),
  trust_domain: z.string().optional(),
});
export const selectorEndAnswer = z
  .strictObject({
    id: idShape("selectorEnd"),
    target,
    selector: selectorAnswer,
    by: z.string(),
    reason: z.string(),
    requested_at: instantShape,
    look_until: instantShape,
    looks: countShape,
    finished_at: instantShape.nullable(),
    result: z.enum(["none_left", "still_appearing"]).nullable(),
  })
  .meta({ id: "SelectorEnd" });
export const selectorEndsAnswer = pageShape(selectorEndAnswer);

export const endPreviewAnswer = z.strictObject({
  dry_run: z.literal(true),
  target,
  selector: selectorAnswer,
  tasks: countShape,
  leases: countShape,
  ending_already: countShape,
  groups: z.array(
    z.strictObject({
      workload: z.string().nullable(),
      role: z.string().nullable(),
      backend: nameShape("backend"),
      leases: countShape,
    }),
  ),
  task_ids: z.array(idShape("task")),
  lease_ids: z.array(idShape("lease")),
  digest: z.string().meta({ description: "Send it as `expect` to end this set and no other." }),
});
export const selectorEndReportAnswer = z.strictObject({
  dry_run: z.literal(false),
  end: selectorEndAnswer,
  tasks: countShape,
  leases: countShape,
  appeared: countShape.meta({ description: "Of these, how many came after the request." }),
  pending: countShape.meta({ description: "Still to be marked: the worker goes on." }),
  states: z.array(
    z.strictObject({
      state: z.enum(LEASE_STATES),
      outcome: z.enum(LEASE_OUTCOMES).nullable(),
      leases: countShape,
    }),
  ),
  exposure: exposureSummaryAnswer,
  items: z.array(leaseAnswer),
  next: z.string().nullable(),
});
export const endBySelectorAnswer = z.discriminatedUnion("dry_run", [
  endPreviewAnswer,
  selectorEndReportAnswer,
]);

export const traceAnswer = z.strictObject({
  leases: z.array(
    z.strictObject({ via: z.enum(["fingerprint", "lease_name"]), holder: holderAnswer }),
  ),
  tasks: z.array(taskAnswer),
  tried: z.strictObject({
    secrets: countShape,
    lease_names: countShape,
    task_names: countShape,
    truncated: z.boolean(),
  }),
  todo: z.array(z.string()),
});

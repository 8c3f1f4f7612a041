import { z } from "zod";
import { LOOK_SECONDS_MAX, TRACE_CHARACTERS_MAX } from "@mayfly/core";
import { LATE_SECONDS_MIN } from "@mayfly/spec";
import { durationSchema, endReason, PAGE_QUERY, timeRange } from "../read-json.ts";
import { leasesQuery } from "./leases.ts";

/** What `routes/questions.ts`, `routes/selector-ends.ts` and `routes/trace.ts` read. */

const workload = z.string().min(1).max(2304);
const WAIT_SECONDS_MAX = 60;

export const holdersQuery = leasesQuery.omit({ fingerprint: true });
export const touchedQuery = z.strictObject({ ...PAGE_QUERY, ...timeRange, workload });
export const exposureQuery = z.strictObject({ ...PAGE_QUERY, workload });
export const lateEndsQuery = z.strictObject({
  ...PAGE_QUERY,
  ...timeRange,
  over: durationSchema(LATE_SECONDS_MIN, 31 * 86_400).optional(),
  workload: workload.optional(),
  backend: z.string().optional(),
});
export const changesQuery = z.strictObject({
  ...PAGE_QUERY,
  ...timeRange,
  by: z.string().min(1).max(512).optional(),
});

const selectorSchema = z
  .strictObject({
    workload: workload.optional(),
    task: z.string().optional(),
    backend: z.string().optional(),
    role: z.string().optional(),
    initiator: z.string().min(1).max(512).optional(),
    trust_root: z.string().optional(),
    trust_domain: z
      .string()
      .regex(/^[a-z0-9._-]{1,255}$/, "expected a trust domain such as acme.test")
      .optional(),
  })
  .refine((selector) => Object.keys(selector).length > 0, "name at least one of what is to end")
  .meta({ minProperties: 1 });
export type SelectorInput = z.output<typeof selectorSchema>;

export const endBySelectorSchema = z.strictObject({
  selector: selectorSchema,
  dry_run: z.boolean().optional(),
  expect: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "expected the digest of a dry run")
    .optional(),
  reason: endReason,
  wait: durationSchema(0, WAIT_SECONDS_MAX).optional(),
  look: durationSchema(0, LOOK_SECONDS_MAX).optional(),
  limit: z.number().int().min(1).max(1000).optional(),
});
export const selectorEndsQuery = z.strictObject(PAGE_QUERY);

export const traceSchema = z.strictObject({
  text: z.string().min(1).max(TRACE_CHARACTERS_MAX),
});

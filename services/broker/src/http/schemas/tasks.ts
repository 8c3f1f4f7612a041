import { z } from "zod";
import { TASK_STATES } from "@mayfly/spec";
import { durationSchema, endReason, PAGE_QUERY, timeRange } from "../read-json.ts";

/** What `routes/tasks.ts` reads. */

/** The longest that an end may be waited for in one call. */
const WAIT_SECONDS_MAX = 60;

export const endTaskSchema = z.strictObject({
  reason: endReason,
  wait: durationSchema(0, WAIT_SECONDS_MAX).optional(),
});
export const heartbeatSchema = z.strictObject({});
export const tasksQuery = z.strictObject({
  ...PAGE_QUERY,
  ...timeRange,
  workload: z.string().max(2304).optional(),
  initiator: z.string().max(512).optional(),
  ref: z.string().max(256).optional(),
  state: z.enum(TASK_STATES).optional(),
  parent: z.string().optional(),
});

import { z } from "zod";
import { EVENT_KINDS, LEASE_STATES } from "@mayfly/spec";
import { durationSchema, endReason, PAGE_QUERY, timeRange } from "../read-json.ts";

/** What `routes/leases.ts` reads. */
const RENEW_SECONDS_MAX = 31 * 86_400;

export const endLeaseSchema = z.strictObject({ reason: endReason });
export const renewSchema = z.strictObject({ ttl: durationSchema(1, RENEW_SECONDS_MAX).optional() });
export const verifySchema = z.strictObject({
  from: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
});
export const leasesQuery = z.strictObject({
  ...PAGE_QUERY,
  ...timeRange,
  task: z.string().optional(),
  workload: z.string().max(2304).optional(),
  initiator: z.string().max(512).optional(),
  backend: z.string().optional(),
  role: z.string().optional(),
  state: z.enum(LEASE_STATES).optional(),
  exposed: z.enum(["true", "false"]).optional(),
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{16,128}$/, "expected lowercase hex")
    .optional(),
});
export const eventsQuery = z.strictObject({
  ...PAGE_QUERY,
  ...timeRange,
  task: z.string().optional(),
  lease: z.string().optional(),
  kind: z.enum(EVENT_KINDS).optional(),
});

import { z } from "zod";
import { PAGE_QUERY } from "../read-json.ts";

/** What `routes/administration.ts` reads. */
export const backendSchema = z.strictObject({
  type: z.string().min(1).max(63),
  config: z.unknown(),
  enabled: z.boolean().optional(),
});
export const trustSchema = z.strictObject({
  kind: z.enum(["oidc", "spiffe", "x509"]),
  config: z.unknown(),
  enabled: z.boolean().optional(),
});
export const policiesSchema = z.strictObject({
  sources: z
    .array(z.strictObject({ name: z.string().min(1).max(255), text: z.string().max(262_144) }))
    .min(1)
    .max(64),
});
/** The path names the role; a `role` in the body as well would have two say it. */
export const roleSchema = z
  .record(z.string(), z.unknown())
  .refine((input) => !Object.hasOwn(input, "role"), {
    message: "the path names the role; leave it out",
    path: ["role"],
  })
  .meta({ not: { required: ["role"] } });
export const nothingSchema = z.strictObject({});

export const policyHistoryQuery = z.strictObject({ limit: PAGE_QUERY.limit });
export const rollBackSchema = z.strictObject({
  digest: z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hex digits"),
});

import { z } from "zod";
import { policiesSchema } from "./administration.ts";

/** One backend at a time: a plan connects to it. */
export const planSchema = z.strictObject({
  trust: z.array(z.unknown()).max(200).default([]),
  backend: z
    .strictObject({
      backend: z.string().min(1).max(255),
      type: z.string().min(1).max(63),
      config: z.unknown(),
      enabled: z.boolean().optional(),
    })
    .optional(),
  roles: z.array(z.unknown()).max(200).default([]),
  resource_servers: z.array(z.unknown()).max(200).default([]),
  policies: policiesSchema.optional(),
});

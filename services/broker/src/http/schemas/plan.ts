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
  before: z
    .array(z.strictObject({ backend: z.string().min(1).max(255), config: z.unknown() }))
    .max(200)
    .default([])
    .meta({
      description:
        "Other registered backends as they will be by then: a name that one of them gives up, such " +
        "as an audience, is this one's to take.",
    }),
  roles: z.array(z.unknown()).max(200).default([]),
  resource_servers: z.array(z.unknown()).max(200).default([]),
  policies: policiesSchema.optional(),
});

import { z } from "zod";
import { countShape, instantShape, nameShape } from "./shapes.ts";

/** What `routes/resource-servers.ts` reads; the core judges its members. */
export const resourceServerSchema = z.strictObject({
  description: z.unknown().optional(),
  identities: z.unknown(),
  audiences: z.unknown().optional(),
  task_tokens: z.unknown().optional(),
  enabled: z.boolean().optional(),
});

const identityAnswer = z.union([
  z.strictObject({ spiffe_id: z.string() }),
  z.strictObject({ issuer: z.string(), subject: z.string() }),
]);
export const resourceServerAnswer = z
  .strictObject({
    name: nameShape("resourceServer"),
    revision: countShape,
    enabled: z.boolean(),
    description: z.string(),
    identities: z.array(identityAnswer),
    audiences: z.array(z.string()),
    task_tokens: z.union([z.literal("all"), z.array(nameShape("backend"))]),
    updated_at: instantShape,
  })
  .meta({ id: "ResourceServer", description: "A server that may introspect tokens." });
export const resourceServersAnswer = z.strictObject({ items: z.array(resourceServerAnswer) });
export const resourceServerPutAnswer = z.strictObject({
  result: z.enum(["created", "updated", "unchanged"]),
  name: nameShape("resourceServer"),
  revision: countShape,
});
export const resourceServerSwitchAnswer = z.strictObject({
  name: nameShape("resourceServer"),
  enabled: z.boolean(),
});

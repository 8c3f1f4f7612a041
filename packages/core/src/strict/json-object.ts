import { z } from "zod";
import type { Json, JsonObject } from "@mayfly/spec";

const json: z.ZodType<Json> = z.lazy(() =>
  z.union([
    z.null(),
    z.boolean(),
    z.number(),
    z.string(),
    z.array(json),
    z.record(z.string(), json),
  ]),
);

/** Any JSON object; its members are the backend type's to judge. */
export const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json, {
  error: "expected an object",
});

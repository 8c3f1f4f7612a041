import type { JsonSchema } from "@mayfly/spec";
import { z } from "zod";
import { plainObject } from "./plain-json.ts";

/** What may be written, for the API, editors and the page of the type; defaults are left out. */
export const toJsonSchema = (type: z.ZodType): JsonSchema =>
  plainObject(z.toJSONSchema(type, { io: "input" }));

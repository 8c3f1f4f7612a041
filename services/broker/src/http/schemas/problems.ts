import { z } from "zod";
import { ERROR_CODES, type ErrorCode } from "@mayfly/spec";

const codes = Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]];
const code = z.enum(codes).meta({
  id: "ErrorCode",
  description: "Stable: never renamed, never used again for something else.",
});
const where = z.string().meta({ description: "The place in the request." });
const trace = z.string().meta({ description: "Under it, the broker's log has the cause." });

/** RFC 9457; some codes have further members. */
export const problemSchema = z
  .looseObject({
    type: z.string().meta({ description: "A page that explains the code.", format: "uri" }),
    title: z.string().meta({ description: "What the code means." }),
    status: z.number().int().min(400).max(599),
    detail: z.string().meta({ description: "What was wrong with this request." }),
    code,
    where: where.optional(),
    todo: z.string().meta({ description: "What to do." }),
    trace,
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details." });

/** RFC 6749 section 5.2, with our code and members beside it. */
export const oauthErrorSchema = z
  .looseObject({
    error: z.string(),
    error_description: z.string(),
    code,
    where: where.optional(),
    hint: z.string().meta({ description: "What to do." }),
    trace,
  })
  .meta({ id: "OAuthError", description: "RFC 6749 section 5.2." });

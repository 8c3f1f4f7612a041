import { z } from "zod";
import { taskDetailsForms } from "@mayfly/core";
import { taskAnswer, enforcedBySchema, revocationSchema } from "./answers.ts";
import { countShape, idShape, instantShape, nameShape, objectShape } from "./shapes.ts";

export const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
export const TOKEN_TYPE = "urn:ietf:params:oauth:token-type:";
export const ISSUED_TYPE = `${TOKEN_TYPE}access_token`;
export const TOKEN_CHARACTERS_MAX = 8 * 1024;
/** The longest deadline that `MAYFLY_TASK_SECONDS_MAX` may allow. */
const TASK_SECONDS_LONGEST = 604_800;

const identityType = z.enum([`${TOKEN_TYPE}jwt`, `${TOKEN_TYPE}id_token`]);
const token = z.string().min(1).max(TOKEN_CHARACTERS_MAX);
const forms = taskDetailsForms({ taskSecondsMax: TASK_SECONDS_LONGEST });
/** With `task` it draws on that task, without it opens one; with `parent`, a child task. */
export const detailsSchema = z.union([
  forms.open.meta({
    id: "OpenTask",
    description:
      "Opens a task; with `parent`, and the parent's task token as the subject token, a child " +
      "task. `MAYFLY_TASK_SECONDS_MAX` may allow less than the longest deadline here.",
  }),
  forms.continue.meta({
    id: "ContinueTask",
    description:
      "Draws on an open task what its descriptor declared; without credentials it only gets a " +
      "new task token.",
  }),
]);

/**
 * The form of `/token` and `/v1/explain`, as `readExchange` reads it. A parameter without a value
 * counts as absent, and an unknown one is ignored (RFC 6749 section 3.2).
 */
export const exchangeForm = z
  .looseObject({
    grant_type: z.literal(GRANT),
    subject_token: token.meta({ description: "An identity token, or a task token." }),
    subject_token_type: z.enum([...identityType.options, ISSUED_TYPE]),
    actor_token: token
      .optional()
      .meta({ description: "The child's own identity, where a parent opens a task for another." }),
    actor_token_type: identityType.optional(),
    requested_token_type: z.literal(ISSUED_TYPE).optional(),
    audience: z.string().optional().meta({ description: "The broker's issuer, if given." }),
    resource: z.string().optional().meta({ description: "The broker's issuer, if given." }),
    authorization_details: z
      .array(detailsSchema)
      .length(1)
      .meta({ description: "As JSON; RFC 9396 section 2. Exactly one task." }),
  })
  .meta({
    dependentRequired: { actor_token: ["actor_token_type"], actor_token_type: ["actor_token"] },
  });

export const idempotencyKey = z
  .string()
  .regex(/^[\x21-\x2b\x2d-\x7e]{1,255}$/)
  .meta({ description: "1 to 255 visible ASCII characters without a comma." });

export const dpopProof = z
  .string()
  .max(4096)
  .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  .meta({ description: "One JWT of the type dpop+jwt." });

export const exchangeAnswer = z
  .strictObject({
    access_token: z.string().meta({ description: "The task token." }),
    issued_token_type: z.literal(ISSUED_TYPE),
    token_type: z.enum(["Bearer", "DPoP"]),
    expires_in: countShape,
    task: z.strictObject({
      id: idShape("task"),
      state: taskAnswer.shape.state,
      parent: idShape("task").nullable(),
      deadline: instantShape,
      idle_timeout_seconds: z.number(),
    }),
    authorization_details: z.array(objectShape).meta({ description: "The task as granted." }),
    credentials: z.array(
      z.strictObject({
        lease: idShape("lease"),
        role: nameShape("role"),
        kind: z.string(),
        expires_at: instantShape,
        expiry_enforced_by: enforcedBySchema,
        revocation: revocationSchema,
        data: objectShape.meta({ description: "The credential itself; `kind` says its members." }),
      }),
    ),
  })
  .meta({ id: "ExchangeReply" });

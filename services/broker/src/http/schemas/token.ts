import { z } from "zod";
import { taskDetailsForms } from "@mayfly/core";
import { taskAnswer, enforcedBySchema, revocationSchema } from "./answers.ts";
import { countShape, idShape, instantShape, nameShape, objectShape } from "./shapes.ts";

export const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
export const TOKEN_TYPE = "urn:ietf:params:oauth:token-type:";
export const CLIENT_GRANT = "client_credentials";
export const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:";
/** Below it. */
export const ASSERTIONS = ["jwt-spiffe", "jwt-bearer"] as const;
export const ISSUED_TYPE = `${TOKEN_TYPE}access_token`;
export const TOKEN_CHARACTERS_MAX = 8 * 1024;
export const CLIENT_ID_CHARACTERS_MAX = 2048;
/** The longest deadline that `MAYFLY_TASK_SECONDS_MAX` may allow. */
const TASK_SECONDS_LONGEST = 604_800;

const identityType = z.enum([`${TOKEN_TYPE}jwt`, `${TOKEN_TYPE}id_token`]);
const assertionType = z.enum([
  `${ASSERTION_TYPE}${ASSERTIONS[0]}`,
  `${ASSERTION_TYPE}${ASSERTIONS[1]}`,
]);
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

/** What a client that asks for itself does not send. */
export const OF_EXCHANGE = [
  "subject_token",
  "subject_token_type",
  "actor_token",
  "actor_token_type",
] as const;

/**
 * The form of `/token` and `/v1/explain`, as `readExchange` reads it. A parameter without a value
 * counts as absent, and an unknown one is ignored (RFC 6749 section 3.2).
 */
export const exchangeForm = z
  .looseObject({
    grant_type: z.enum([GRANT, CLIENT_GRANT]),
    subject_token: token
      .optional()
      .meta({ description: "An identity token, or a task token; of an exchange alone." }),
    subject_token_type: z.enum([...identityType.options, ISSUED_TYPE]).optional(),
    actor_token: token
      .optional()
      .meta({ description: "The child's own identity, where a parent opens a task for another." }),
    actor_token_type: identityType.optional(),
    client_assertion: token.optional().meta({
      description:
        "A JWT-SVID, or a registered client's own JWT, whose only audience is the broker's " +
        "issuer: the client that acts for itself, or the actor of an exchange.",
    }),
    client_assertion_type: assertionType.optional(),
    client_id: z
      .string()
      .max(CLIENT_ID_CHARACTERS_MAX)
      .optional()
      .meta({
        description:
          "The assertion's subject, if given. Without an assertion: whom the certificate is of that " +
          "the client shows by mTLS, its SPIFFE ID, or `x509:<trust root>#<client>`. Without a " +
          "certificate either, such an id is of whom a token proves to act, or refused.",
      }),
    requested_token_type: z.literal(ISSUED_TYPE).optional(),
    audience: z.string().optional().meta({ description: "The broker's issuer, if given." }),
    resource: z.string().optional().meta({ description: "The broker's issuer, if given." }),
    authorization_details: z
      .array(detailsSchema)
      .length(1)
      .meta({ description: "As JSON; RFC 9396 section 2. Exactly one task." }),
  })
  .meta({
    dependentRequired: {
      actor_token: ["actor_token_type"],
      actor_token_type: ["actor_token"],
      client_assertion: ["client_assertion_type"],
      client_assertion_type: ["client_assertion"],
    },
    allOf: [
      {
        oneOf: [
          {
            properties: { grant_type: { const: GRANT } },
            required: ["subject_token", "subject_token_type"],
          },
          {
            properties: {
              grant_type: { const: CLIENT_GRANT },
              ...Object.fromEntries(OF_EXCHANGE.map((name) => [name, false])),
            },
            anyOf: [
              { required: ["client_assertion"] },
              {
                required: ["client_id"],
                properties: { client_id: { pattern: "^(spiffe://|x509:)" } },
              },
            ],
          },
        ],
      },
    ],
  });

export const idempotencyKey = z
  .string()
  .regex(/^[\x21-\x2b\x2d-\x7e]{1,255}$/)
  .meta({ description: "1 to 255 visible ASCII characters without a comma." });

/** What `/introspect` and `/revoke` read. */
export const tokenForm = z
  .looseObject({
    token: token.meta({ description: "A task token; anything else is one that never was." }),
    token_type_hint: z.string().optional().meta({ description: "Not needed." }),
    client_assertion: token.optional(),
    client_assertion_type: assertionType.optional(),
    client_id: z.string().max(CLIENT_ID_CHARACTERS_MAX).optional(),
  })
  .meta({
    dependentRequired: {
      client_assertion: ["client_assertion_type"],
      client_assertion_type: ["client_assertion"],
    },
  });

export const introspectionAnswer = z
  .union([
    z.strictObject({ active: z.literal(false) }),
    z.strictObject({
      active: z.literal(true),
      iss: z.string(),
      aud: z.string(),
      sub: z.string().meta({ description: "For whom the task is." }),
      client_id: z.string().meta({
        description:
          "The task's workload, who acts, by the client_id that it authenticates itself as; of one " +
          "that is no client of OAuth its name, `<issuer>#<subject>`.",
      }),
      iat: countShape,
      exp: countShape,
      jti: z.string(),
      token_type: z.enum(["Bearer", "DPoP"]),
      cnf: z
        .union([z.strictObject({ jkt: z.string() }), z.strictObject({ "x5t#S256": z.string() })])
        .optional()
        .meta({
          description:
            "The thumbprint of the key (RFC 7638), or of the certificate (RFC 8705), that it is " +
            "bound to.",
        }),
      task: idShape("task"),
      act: objectShape.optional().meta({
        description: "Who acts for the subject, where that is somebody else (RFC 8693).",
      }),
      authorization_details: z.array(objectShape).meta({ description: "The task as granted." }),
    }),
    z.looseObject({
      active: z.literal(true),
      iss: z.string().meta({ description: "The backend's own issuer." }),
      aud: z.union([z.string(), z.array(z.string())]),
      sub: z.string(),
      client_id: z.string(),
      iat: countShape,
      exp: countShape,
      jti: z.string(),
      token_type: z.enum(["Bearer", "DPoP"]),
      scope: z.string().optional(),
      mayfly_task: idShape("task"),
    }),
  ])
  .meta({ id: "Introspection", description: "RFC 7662 section 2.2." });

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

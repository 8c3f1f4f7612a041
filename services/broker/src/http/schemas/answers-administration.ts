import { z } from "zod";
import { enforcedBySchema, revocationSchema } from "./answers.ts";
import { problemSchema } from "./problems.ts";
import { countShape, idShape, instantShape, nameShape, objectShape } from "./shapes.ts";

/** What the API answers about what is registered; `views/` is checked against it. */
const putAnswer = z.enum(["created", "updated", "unchanged"]);
const namedList = <S extends z.ZodType>(item: S) => z.strictObject({ items: z.array(item) });

export const checkAnswer = z
  .strictObject({
    upstream_identity: z.string(),
    clock_skew_ms: z.number().nullable(),
    facts: objectShape,
    problems: z.array(z.strictObject({ code: z.string(), what: z.string(), fix: z.string() })),
  })
  .meta({ id: "SelfCheck", description: "What the backend was seen to allow, and what it lacks." });
export const lastCheckAnswer = z.strictObject({
  checked_at: instantShape,
  revision: countShape.meta({ description: "Of the configuration that was checked." }),
  result: z.enum(["sound", "problems", "failed"]),
  check: checkAnswer.nullable(),
  error: z.string().nullable().meta({ description: "Why there was no answer." }),
});
export const backendAnswer = z
  .strictObject({
    id: nameShape("backend"),
    type: z.string(),
    revision: countShape,
    enabled: z.boolean(),
    config: objectShape.meta({ description: "As registered, without secrets." }),
    upstream_identity: z.string(),
    updated_at: instantShape,
    last_check: lastCheckAnswer.nullable(),
  })
  .meta({ id: "Backend" });
export const backendsAnswer = namedList(backendAnswer);
export const backendPutAnswer = z.strictObject({
  result: putAnswer,
  backend: backendAnswer,
  check: checkAnswer,
});
export const backendSwitchAnswer = z.strictObject({
  backend: nameShape("backend"),
  enabled: z.boolean(),
});

export const backendTypesAnswer = z.strictObject({ items: z.array(z.string()) });
export const backendTypeAnswer = z
  .strictObject({
    type: z.string(),
    config: objectShape.meta({ description: "The JSON Schema of a backend's configuration." }),
    role: objectShape.meta({
      description: "The one of what a role says beside what every role says.",
    }),
    params: objectShape.meta({ description: "The one of what a request may ask for." }),
    authority: z
      .array(
        z.strictObject({
          what: z.string().meta({ description: "Where it is done, and as whom." }),
          language: z.string(),
          text: z.string(),
        }),
      )
      .meta({ description: "What the broker's login is to be allowed there, to copy and paste." }),
  })
  .meta({ id: "BackendType", description: "What may be written of a type, from what parses it." });

export const roleAnswer = z
  .looseObject({
    role: nameShape("role"),
    backend: nameShape("backend"),
    revision: countShape,
    enabled: z.boolean(),
    description: z.string(),
    ttl_max_seconds: z.number(),
    data_class: z.enum(["public", "internal", "confidential", "restricted"]),
    reversibility: z.enum(["read_only", "reversible", "irreversible"]),
    environment: z.string(),
    updated_at: instantShape,
  })
  .meta({ id: "Role", description: "Beside these, the members of its backend's type." });
export const rolesAnswer = namedList(roleAnswer);
export const rolePutAnswer = z.strictObject({ result: putAnswer, role: roleAnswer });

export const roleSwitchAnswer = z.strictObject({ role: nameShape("role"), enabled: z.boolean() });
export const sampleAnswer = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("planned"),
    grant: objectShape.meta({ description: "What would be asked of the backend." }),
    ttl_seconds: z.number(),
  }),
  z.strictObject({ kind: z.literal("needs_params"), why: z.string() }),
]);
export const roleTestAnswer = z.strictObject({ check: checkAnswer, sample: sampleAnswer });

export const trustAnswer = z
  .strictObject({
    name: nameShape("trust"),
    kind: z.enum(["oidc", "spiffe", "x509"]),
    revision: countShape,
    enabled: z.boolean(),
    config: objectShape,
    updated_at: instantShape,
  })
  .meta({ id: "TrustRoot" });
export const trustListAnswer = namedList(trustAnswer);
export const trustPutAnswer = z.strictObject({
  result: putAnswer,
  name: nameShape("trust"),
  revision: countShape,
});
export const trustSwitchAnswer = z.strictObject({ name: nameShape("trust"), enabled: z.boolean() });
export const trustTestAnswer = z.strictObject({
  source: z.string().meta({ description: "Where its keys come from." }),
  fetched: z.boolean().meta({ description: "Whether they were fetched for this answer." }),
  keys: z.array(z.strictObject({ kid: z.string().nullable(), algorithms: z.array(z.string()) })),
  max_age_seconds: z.number().nullable(),
  problem: z.string().nullable().meta({ description: "Null: its tokens can be verified." }),
});

export const trustPreviewAnswer = z.strictObject({
  name: nameShape("trust"),
  kind: z.enum(["oidc", "spiffe", "x509"]),
  config: objectShape.meta({ description: "As it would be registered, its preset resolved." }),
  issuer: z.string(),
  audience: z.string().meta({ description: "Whom a token has to be addressed to." }),
  attributes: z.array(
    z.strictObject({
      tag: z.string().meta({ description: "What a policy calls it." }),
      claim: z.string(),
      stability: z.enum(["immutable", "mutable"]),
      optional: z.boolean().meta({ description: "Some tokens lack it." }),
    }),
  ),
  requirements: z.array(z.string()),
  once: z.boolean().meta({ description: "Each token counts once." }),
  traps: z.array(z.string()),
  policy: z.string().meta({ description: "An example, with blanks to fill in. Cedar." }),
  look: trustTestAnswer,
});

export const policiesAnswer = z.strictObject({
  digest: z.string().nullable(),
  sources: z.array(z.strictObject({ name: z.string(), text: z.string() })),
  activated_at: instantShape.nullable(),
});
export const policySourcesAnswer = z.strictObject({
  digest: z.string(),
  sources: z.array(z.strictObject({ name: z.string(), text: z.string() })),
});
export const activationAnswer = z.strictObject({
  digest: z.string(),
  before: z.string().nullable().meta({ description: "What decided before." }),
  activated_at: instantShape,
  actor: z.strictObject({ kind: z.string(), name: z.string() }),
  decision: idShape("decision").nullable(),
});
export const policyHistoryAnswer = namedList(activationAnswer);
const policyWarning = z
  .strictObject({
    source: z.string(),
    policy: z.string().nullable(),
    message: z.string(),
    line: z.number().nullable(),
  })
  .meta({ description: "A policy that may mean more than was meant; it refuses nothing." });
export const policiesPutAnswer = z.strictObject({
  result: putAnswer,
  digest: z.string(),
  warnings: z.array(policyWarning),
});

export const explanationAnswer = z
  .strictObject({
    workload: z.string(),
    task: idShape("task").nullable().meta({ description: "Null: it would open a task." }),
    deadline: instantShape,
    policy_digest: z.string(),
    impersonation: z
      .strictObject({
        effect: z.enum(["permit", "deny"]),
        explanation: z.string(),
        determining_policies: z.array(z.string()),
      })
      .nullable()
      .meta({
        description:
          "Whether the task's tokens may name its initiator alone; null where that is not asked " +
          "for. Denied, nothing of the exchange is given.",
      }),
    credentials: z.array(
      z.strictObject({
        role: nameShape("role"),
        effect: z.enum(["permit", "deny"]),
        explanation: z.string(),
        determining_policies: z.array(z.string()),
        would: z
          .strictObject({
            grant: objectShape,
            kind: z.string(),
            expires_at: instantShape,
            expiry_enforced_by: enforcedBySchema,
            revocation: revocationSchema,
            paused_because: z.string().nullable(),
          })
          .nullable()
          .meta({ description: "What would be asked of the backend; null where it is denied." }),
      }),
    ),
  })
  .meta({ id: "Explanation" });

export const planAnswer = z.strictObject({
  objects: z.array(
    z.strictObject({
      kind: z.enum(["trust", "backend", "role", "resource_server", "policies"]),
      name: z.string(),
      result: z.enum(["created", "updated", "unchanged", "refused"]),
      changes: z.array(
        z.strictObject({
          path: z.string(),
          from: z.unknown(),
          to: z.unknown(),
          secret: z.boolean().meta({ description: "Then neither text is answered." }),
        }),
      ),
      tag: z
        .string()
        .nullable()
        .meta({ description: "The ETag of what it was compared with. Null: it is not there." }),
      error: problemSchema.nullable(),
      warnings: z.array(policyWarning).optional().meta({ description: "Of policies." }),
      locks_out_caller: z.boolean().optional().meta({
        description: "Of policies: under them the caller could not activate policies any more.",
      }),
    }),
  ),
});

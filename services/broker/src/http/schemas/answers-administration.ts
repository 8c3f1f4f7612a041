import { z } from "zod";
import { enforcedBySchema, revocationSchema } from "./answers.ts";
import { problemSchema } from "./problems.ts";
import { countShape, idShape, instantShape, nameShape, objectShape } from "./shapes.ts";

/** What the API answers about what is registered; `views/` is checked against it. */
const putAnswer = z.enum(["created", "updated", "unchanged"]);
const namedList = <S extends z.ZodType>(item: S) => z.strictObject({ items: z.array(item) });

export const backendAnswer = z
  .strictObject({
    id: nameShape("backend"),
    type: z.string(),
    revision: countShape,
    enabled: z.boolean(),
    config: objectShape.meta({ description: "As registered, without secrets." }),
    upstream_identity: z.string(),
    updated_at: instantShape,
  })
  .meta({ id: "Backend" });
export const checkAnswer = z
  .strictObject({
    upstream_identity: z.string(),
    clock_skew_ms: z.number().nullable(),
    facts: objectShape,
    problems: z.array(z.strictObject({ code: z.string(), what: z.string(), fix: z.string() })),
  })
  .meta({ id: "SelfCheck", description: "What the backend was seen to allow, and what it lacks." });
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

export const roleAnswer = z
  .looseObject({
    role: nameShape("role"),
    backend: nameShape("backend"),
    description: z.string(),
    ttl_max_seconds: z.number(),
    data_class: z.enum(["public", "internal", "confidential", "restricted"]),
    reversibility: z.enum(["read_only", "reversible", "irreversible"]),
    environment: z.string(),
  })
  .meta({ id: "Role", description: "Beside these, the members of its backend's type." });
export const rolesAnswer = namedList(roleAnswer);
export const rolePutAnswer = z.strictObject({ result: putAnswer, role: roleAnswer });

export const trustAnswer = z
  .strictObject({
    name: nameShape("trust"),
    kind: z.enum(["oidc", "spiffe"]),
    enabled: z.boolean(),
    config: objectShape,
  })
  .meta({ id: "TrustRoot" });
export const trustListAnswer = namedList(trustAnswer);
export const trustPutAnswer = z.strictObject({ result: putAnswer, name: nameShape("trust") });

export const policiesAnswer = z.strictObject({
  digest: z.string().nullable(),
  sources: z.array(z.strictObject({ name: z.string(), text: z.string() })),
  activated_at: instantShape.nullable(),
});
export const policiesPutAnswer = z.strictObject({ result: putAnswer, digest: z.string() });

export const explanationAnswer = z
  .strictObject({
    workload: z.string(),
    task: idShape("task").nullable().meta({ description: "Null: it would open a task." }),
    deadline: instantShape,
    policy_digest: z.string(),
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
      kind: z.enum(["trust", "backend", "role", "policies"]),
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
      error: problemSchema.nullable(),
    }),
  ),
});

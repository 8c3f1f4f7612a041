import { z } from "zod";
import { CliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import { cleanStrings } from "../render/clean-text.ts";

/**
 * What the command reads of the broker's answers, to show it to a person. Unknown members are let
 * by, so that an older command works with a newer broker; `--json` passes all of them on.
 */
const text = z.string();
const textOrNull = z.string().nullable();
const object = z.record(text, z.json());

const exposureAnswer = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("none") }),
  z.object({ kind: z.literal("until"), until: text, reason: text }),
  z.object({ kind: z.literal("unknown"), reason: text }),
]);

export const leaseAnswer = z.object({
  id: text,
  task: textOrNull,
  role: textOrNull,
  backend: text,
  workload: textOrNull,
  decision: textOrNull,
  state: text,
  outcome: textOrNull,
  exposure: exposureAnswer,
  external_name: text,
  fingerprint: textOrNull,
  reserved_at: text,
  activated_at: textOrNull,
  expires_at: text,
  end_requested_at: textOrNull,
  end_reason: textOrNull,
  ended_at: textOrNull,
  attempts: z.number(),
  next_attempt_at: textOrNull,
  last_error: textOrNull,
  looked: object.nullable(),
});
export type LeaseAnswer = z.output<typeof leaseAnswer>;

export const taskAnswer = z.object({
  id: text,
  state: text,
  end_requested: z.boolean(),
  goal: text,
  ref: textOrNull,
  parent: textOrNull,
  workload: text,
  initiator: z.object({ name: text, basis: text }).nullable(),
  // A broker of an earlier version does not say.
  impersonates: z.boolean().default(false),
  opened_at: text,
  deadline: text,
  idle_timeout_seconds: z.number(),
  last_heartbeat_at: text,
  ended_at: textOrNull,
  end_reason: textOrNull,
});
export type TaskAnswer = z.output<typeof taskAnswer>;

export const decisionAnswer = z.object({
  id: text,
  task: textOrNull,
  effect: text,
  why: textOrNull,
  determining_policies: z.array(text),
  explanation: text,
  policy_digest: text,
  request: object,
  decided_at: text,
});
export type DecisionAnswer = z.output<typeof decisionAnswer>;

export const eventAnswer = z.object({
  id: text,
  kind: text,
  at: text,
  actor: z.object({ kind: text, name: text }),
  task: textOrNull,
  lease: textOrNull,
  decision: textOrNull,
  data: object,
  log_index: z.number().nullable(),
});
export type EventAnswer = z.output<typeof eventAnswer>;

export const chainAnswer = z.object({
  task: taskAnswer,
  descendants: z.array(taskAnswer),
  decisions: z.array(decisionAnswer),
  leases: z.array(leaseAnswer),
  events: z.array(eventAnswer),
  truncated: z.boolean(),
});
export type ChainAnswer = z.output<typeof chainAnswer>;

export const endedTaskAnswer = z.object({ task: taskAnswer, leases: z.array(leaseAnswer) });

export const checkAnswer = z.object({
  upstream_identity: text,
  clock_skew_ms: z.number().nullable(),
  facts: z.json(),
  problems: z.array(z.object({ code: text, what: text, fix: text })),
});
export type CheckAnswer = z.output<typeof checkAnswer>;

export const backendAnswer = z.object({
  id: text,
  type: text,
  revision: z.number(),
  enabled: z.boolean(),
  config: object,
  upstream_identity: text,
  updated_at: text,
  /** Older brokers keep none. */
  last_check: z
    .object({
      checked_at: text,
      revision: z.number(),
      result: text,
      check: checkAnswer.nullable(),
      error: textOrNull,
    })
    .nullish(),
});
export type BackendAnswer = z.output<typeof backendAnswer>;

export const putBackendAnswer = z.object({
  result: text,
  backend: backendAnswer,
  check: checkAnswer,
});

export const backendTypeAnswer = z.object({
  type: text,
  config: object,
  role: object,
  params: object,
  // Its text is shown as it is, line by line: each line is cleaned where it is printed.
  authority: z.array(z.object({ what: text, language: text, text: z.string() })),
});
export type BackendTypeAnswer = z.output<typeof backendTypeAnswer>;

export const roleAnswer = z.object({
  role: text,
  backend: text,
  description: text,
  ttl_max_seconds: z.number(),
  data_class: text,
  reversibility: text,
  environment: text,
  /** Older brokers tell neither. */
  revision: z.number().optional(),
  enabled: z.boolean().optional(),
});
export type RoleAnswer = z.output<typeof roleAnswer>;
export const putRoleAnswer = z.object({ result: text, role: roleAnswer });
export const roleTestAnswer = z.object({
  check: checkAnswer,
  sample: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("planned"), grant: object, ttl_seconds: z.number() }),
    z.object({ kind: z.literal("needs_params"), why: text }),
  ]),
});

export const trustAnswer = z.object({
  name: text,
  kind: text,
  enabled: z.boolean(),
  config: object,
  revision: z.number().optional(),
});
export type TrustAnswer = z.output<typeof trustAnswer>;

export const trustTestAnswer = z.object({
  source: text,
  fetched: z.boolean(),
  keys: z.array(z.object({ kid: textOrNull, algorithms: z.array(text) })),
  max_age_seconds: z.number().nullable(),
  problem: textOrNull,
});

export const trustPreviewAnswer = z.object({
  kind: text,
  config: object,
  issuer: text,
  audience: text,
  attributes: z.array(z.object({ tag: text, claim: text, stability: text, optional: z.boolean() })),
  requirements: z.array(text),
  once: z.boolean(),
  traps: z.array(text),
  policy: z.string(),
  look: trustTestAnswer,
});
export type TrustPreviewAnswer = z.output<typeof trustPreviewAnswer>;

export const resourceServerAnswer = z.object({
  name: text,
  revision: z.number(),
  enabled: z.boolean(),
  description: z.string(),
  identities: z.array(
    z.union([z.object({ spiffe_id: text }), z.object({ issuer: text, subject: text })]),
  ),
  audiences: z.array(text),
  // A broker of an earlier version says nothing, and tells of all.
  task_tokens: z.union([z.literal("all"), z.array(text)]).default("all"),
});
export type ResourceServerAnswer = z.output<typeof resourceServerAnswer>;

export const policiesAnswer = z.object({
  digest: textOrNull,
  sources: z.array(z.object({ name: text, text: z.string() })),
  activated_at: textOrNull,
});

export const policySourcesAnswer = z.object({
  digest: text,
  sources: z.array(z.object({ name: text, text: z.string() })),
});
export const activationAnswer = z.object({
  digest: text,
  before: textOrNull,
  activated_at: text,
  actor: z.object({ kind: text, name: text }),
  decision: textOrNull,
});
export type ActivationAnswer = z.output<typeof activationAnswer>;

export const resultAnswer = z.object({ result: text });
export const activatedAnswer = z.object({ result: text, digest: text });

export const verificationAnswer = z.discriminatedUnion("ok", [
  z.object({
    ok: z.literal(true),
    /** Older brokers do not tell. */
    from: z.number().optional(),
    entries: z.number(),
    head_sha256: text,
    pending: z.number(),
    oldest_pending_seconds: z.number().nullable(),
    warning: text.nullable(),
  }),
  z.object({ ok: z.literal(false), log_index: z.number(), problem: text }),
]);
export type VerificationAnswer = z.output<typeof verificationAnswer>;

export const countsAnswer = z.object({
  leases_overdue: z.number(),
  oldest_due_seconds: z.number(),
  events_pending: z.number(),
  /** Older brokers do not tell. */
  oldest_pending_seconds: z.number().optional(),
  rows_in_default_partitions: z.number(),
  sweep_age_seconds: z.number().nullable(),
  backends: z.array(
    z.object({
      backend: text,
      leases_stuck: z.number(),
      listing_age_seconds: z.number().nullable(),
    }),
  ),
});

export const pageAnswer = z.object({ items: z.array(z.unknown()), next: textOrNull });
export const listAnswer = z.object({ items: z.array(z.unknown()) });

/** `answer` for showing: its strings cleaned, its shape checked. */
export const readAnswer = <T>(shape: z.ZodType<T>, answer: unknown): T =>
  rawAnswer(shape, cleanStrings(answer));

/** `answer` as the broker gave it, its shape checked: for a program, not for a terminal. */
export function rawAnswer<T>(shape: z.ZodType<T>, answer: unknown): T {
  const parsed = shape.safeParse(answer);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CliError({
    code: "not_a_broker",
    what: `The broker's answer is not as expected: ${issue?.message ?? ""}`,
    where: issue?.path.map(String).join(".") ?? null,
    todo: "Use the version of `mayfly` that belongs to the broker; --json shows the answer as it is.",
    exit: EXIT.unavailable,
  });
}

import { json, type Operation } from "../openapi/operation.ts";
import { explanationAnswer } from "../schemas/answers-administration.ts";
import { dpopProof, exchangeAnswer, exchangeForm, idempotencyKey } from "../schemas/token.ts";

const REFUSALS = [
  "unsupported_grant_type",
  "invalid_target",
  "invalid_scope",
  "invalid_task",
  "invalid_input",
  "invalid_identity",
  "not_found",
  "task_ended",
  "replayed",
  "denied",
  "conflict",
  "issuing_paused",
  "backend_unavailable",
] as const;
const body = { kind: "form", schema: exchangeForm } as const;
const headers = [
  {
    name: "Idempotency-Key",
    description:
      "Repeat a request under its key when the reply was lost: the earlier credentials are ended, " +
      "and new ones come. Kept for 24 hours.",
    schema: idempotencyKey,
  },
  {
    name: "DPoP",
    description:
      "A proof of possession (RFC 9449) of this request: what is issued is bound to its key. A " +
      "task token that is bound needs one of the same key.",
    schema: dpopProof,
  },
] as const;

export const TOKEN_OPERATIONS: readonly Operation[] = [
  {
    method: "post",
    path: "/token",
    id: "exchangeToken",
    tag: "exchange",
    summary: "Open a task, or draw on one, and get credentials",
    description:
      "RFC 8693 token exchange with a task as RFC 9396 `authorization_details`. The secrets are in " +
      "this reply and nowhere else.",
    caller: "subject",
    headers,
    body,
    answers: { 200: json("The task token, the task as granted, the credentials.", exchangeAnswer) },
    errors: [...REFUSALS, "idempotency_mismatch", "lease_limit", "backend_rejected"],
  },
  {
    method: "post",
    path: "/v1/explain",
    id: "explain",
    tag: "exchange",
    summary: "Say what an exchange would give, and why",
    description: "Takes the form of `/token`. Mints, reserves and records nothing.",
    caller: "subject",
    headers,
    body,
    answers: { 200: json("A verdict for each credential.", explanationAnswer) },
    errors: REFUSALS,
  },
];

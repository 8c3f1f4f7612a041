import { empty, json, type Operation } from "../openapi/operation.ts";
import { explanationAnswer } from "../schemas/answers-administration.ts";
import {
  dpopProof,
  exchangeAnswer,
  exchangeForm,
  idempotencyKey,
  introspectionAnswer,
  tokenForm,
} from "../schemas/token.ts";

const REFUSALS = [
  "unsupported_grant_type",
  "invalid_target",
  "invalid_scope",
  "invalid_task",
  "invalid_input",
  "invalid_client",
  "invalid_identity",
  "not_found",
  "task_ended",
  "replayed",
  "assertion_replayed",
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

const ofToken = { kind: "form", schema: tokenForm } as const;
/** A client's assertion, or an Authorization header: OAuth's word for who fails is its own. */
const CLIENT_ERRORS = [
  "invalid_client",
  "assertion_replayed",
  "invalid_dpop_proof",
  "use_dpop_nonce",
  "backend_unavailable",
  "ledger_unavailable",
] as const;

export const TOKEN_OPERATIONS: readonly Operation[] = [
  {
    method: "post",
    path: "/token",
    id: "exchangeToken",
    tag: "exchange",
    summary: "Open a task, or draw on one, and get credentials",
    description:
      "RFC 8693 token exchange, or client_credentials (RFC 6749 section 4.4), with a task as RFC " +
      "9396 `authorization_details`. The secrets are in this reply and nowhere else.",
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
  {
    method: "post",
    path: "/introspect",
    id: "introspectToken",
    tag: "exchange",
    summary: "Say whether a token counts, and what it says",
    description:
      "RFC 7662, for resource servers: who owns the task, or may `read` it by policy, is told; of " +
      "a task token also the registered resource servers of a backend that the task declared a " +
      "role of, of an access token that a backend signed those that its audience is served by. " +
      "Everybody else learns of every token that it is not active.",
    caller: "client",
    body: ofToken,
    answers: { 200: json("What it says.", introspectionAnswer) },
    errors: [...CLIENT_ERRORS, "denied"],
  },
  {
    method: "post",
    path: "/revoke",
    id: "revokeToken",
    tag: "exchange",
    summary: "End the task of a task token, or the lease of an access token",
    description:
      "RFC 7009. Durable once it is answered: each credential below the task is due to be revoked; " +
      "for an access token that a backend signed, that credential alone. " +
      "The token's holder needs no other authentication than its key, if it is bound. A token " +
      "that never was, or of somebody else's task, is answered the same, without effect. 503: it " +
      "may live, try again.",
    caller: "client",
    body: ofToken,
    answers: { 200: empty("It counts no more, or never did.") },
    errors: [...CLIENT_ERRORS, "not_found"],
  },
];

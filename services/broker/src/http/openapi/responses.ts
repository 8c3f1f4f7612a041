import type { ErrorCode, Json, JsonObject } from "@mayfly/spec";
import { oauthErrorSchema, problemSchema } from "../schemas/problems.ts";
import { answersOauth, errorCodesOf, statusOf } from "./error-codes.ts";
import type { JsonSchemas } from "./json-schemas.ts";
import type { Answer, Operation } from "./operation.ts";

/** Components that responses refer to. */
export const HEADERS = {
  "Mayfly-Trace": {
    description: "The request's trace id, under which the broker's log has what happened.",
    schema: { type: "string", pattern: "^[0-9a-f]{32}$" },
  },
  "Retry-After": {
    description: "Seconds to wait before the next attempt.",
    schema: { type: "integer", minimum: 1 },
  },
  "WWW-Authenticate": { schema: { type: "string" } },
} as const;
const header = (name: keyof typeof HEADERS): JsonObject => ({
  $ref: `#/components/headers/${name}`,
});

/** Refusals that several operations share, by what they say. */
export type Refusals = Record<string, JsonObject>;

/** Every response of an operation, by status; refusals are kept in `shared`, and referred to. */
export function responsesOf(
  operation: Operation,
  schemas: JsonSchemas,
  shared: Refusals,
): JsonObject {
  const answers = Object.entries(operation.answers).map(
    ([status, answer]): [string, JsonObject] => [status, { ...answerOf(answer, schemas) }],
  );
  const byStatus = Map.groupBy(errorCodesOf(operation), (code) => statusOf(operation, code));
  const refusals = [...byStatus].map(
    ([status, codes]) => [String(status), refusalOf(operation, status, codes, schemas)] as const,
  );
  const responses: Record<string, JsonObject> = Object.fromEntries(answers);
  for (const [status, refusal] of refusals) {
    const answer = responses[status];
    responses[status] =
      answer === undefined ? reference(status, refusal, shared) : merged(answer, refusal);
  }
  return responses;
}

/** Named after what it is: `401-unauthenticated-invalid_identity`, the token endpoint's apart. */
function reference(status: string, refusal: DescribedResponse, shared: Refusals): JsonObject {
  const codes = [...refusal.description.matchAll(/\w+/g)].map(([code]) => code);
  const form = Object.hasOwn(refusal.content ?? {}, "application/json") ? "-oauth" : "";
  const name = `${status}${form}-${codes.join("-")}`;
  shared[name] = { ...refusal };
  return { $ref: `#/components/responses/${name}` };
}

interface DescribedResponse {
  readonly description: string;
  readonly headers: JsonObject;
  readonly content?: JsonObject;
}

/** One status may be an answer and a refusal, told apart by the media type (`/readyz`, 503). */
function merged(one: JsonObject, other: DescribedResponse): JsonObject {
  const inner = (name: string): JsonObject => objectOf(one[name]);
  const what = typeof one["description"] === "string" ? `${one["description"]} Or: ` : "";
  return {
    description: what + other.description,
    headers: { ...inner("headers"), ...other.headers },
    content: { ...inner("content"), ...other.content },
  };
}
const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !isList(value) ? value : {};
const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

function answerOf(answer: Answer, schemas: JsonSchemas): DescribedResponse {
  const head = { description: answer.what, headers: { "Mayfly-Trace": header("Mayfly-Trace") } };
  switch (answer.kind) {
    case "json":
      return {
        ...head,
        content: { "application/json": { schema: schemas.answer(answer.schema) } },
      };
    case "text":
      return { ...head, content: { [answer.mediaType]: { schema: { type: "string" } } } };
    case "empty":
      return head;
  }
}

function refusalOf(
  operation: Operation,
  status: number,
  codes: readonly ErrorCode[],
  schemas: JsonSchemas,
): DescribedResponse {
  const isOauth = answersOauth(operation);
  const base = schemas.answer(isOauth ? oauthErrorSchema : problemSchema);
  const waits = status === 503 || status === 429;
  return {
    description: `${codes.map((code) => `\`${code}\``).join(", ")}.`,
    headers: {
      "Mayfly-Trace": header("Mayfly-Trace"),
      ...(waits ? { "Retry-After": header("Retry-After") } : {}),
      ...(status === 401 ? { "WWW-Authenticate": header("WWW-Authenticate") } : {}),
    },
    content: {
      [isOauth ? "application/json" : "application/problem+json"]: {
        schema: { allOf: [base, { properties: { code: { enum: codes } } }] },
      },
    },
  };
}

import type { ErrorCode, JsonObject } from "@mayfly/spec";
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

/** Every response of an operation, by status. */
export function responsesOf(operation: Operation, schemas: JsonSchemas): JsonObject {
  const answers = Object.entries(operation.answers).map(
    ([status, answer]) => [status, answerOf(answer, schemas)] as const,
  );
  const byStatus = Map.groupBy(errorCodesOf(operation), (code) => statusOf(operation, code));
  const refusals = [...byStatus].map(
    ([status, codes]) => [String(status), refusalOf(operation, status, codes, schemas)] as const,
  );
  const responses = new Map<string, DescribedResponse & JsonObject>();
  for (const [status, response] of [...answers, ...refusals]) {
    responses.set(status, merged(responses.get(status), response));
  }
  return Object.fromEntries([...responses].toSorted(([a], [b]) => Number(a) - Number(b)));
}

interface DescribedResponse {
  readonly description: string;
  readonly headers: JsonObject;
  readonly content?: JsonObject;
}

/** One status may be an answer and a refusal, told apart by the media type (`/readyz`, 503). */
const merged = (
  one: DescribedResponse | undefined,
  other: DescribedResponse,
): DescribedResponse & JsonObject => ({
  description: one === undefined ? other.description : `${one.description}\n\n${other.description}`,
  headers: { ...one?.headers, ...other.headers },
  ...(one?.content === undefined && other.content === undefined
    ? {}
    : { content: { ...one?.content, ...other.content } }),
});

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

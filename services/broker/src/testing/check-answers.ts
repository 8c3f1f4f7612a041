import type { Hono } from "hono";
import type { ErrorCode } from "@mayfly/spec";
import { answersOauth, errorCodesOf, statusOf } from "../http/openapi/error-codes.ts";
import { routeName, type Operation } from "../http/openapi/operation.ts";
import { ALL_OPERATIONS } from "../http/operations/all-operations.ts";
import type { Env } from "../http/request-scope.ts";
import { oauthErrorSchema, problemSchema } from "../http/schemas/problems.ts";

const BY_ROUTE = new Map(ALL_OPERATIONS.map((operation) => [routeName(operation), operation]));

/**
 * Compares every answer of `app` with what is documented of its route, and throws where an answer
 * has another status, another code or another shape: so each test of the API is one of its
 * document too.
 */
export function checkAnswers(app: Hono<Env>): void {
  const { fetch } = app;
  app.fetch = async (request, ...rest) => {
    const response = await fetch(request, ...rest);
    const operation = operationOf(app, request);
    const place = operation === null ? `${request.method} of no route` : routeName(operation);
    const problem = await problemOf(operation, request, response.clone());
    if (problem !== null) {
      throw new Error(
        `${place} answered ${response.status}, and ${problem}. What a route answers is declared ` +
          "in services/broker/src/http/operations and schemas.",
      );
    }
    return response;
  };
}

/** Null: no route answers this; such an answer is a refusal of every path. */
function operationOf(app: Hono<Env>, request: Request): Operation | null {
  const method = request.method === "HEAD" ? "GET" : request.method;
  const path = app.getPath(request, {});
  const [matches] = app.router.match(method, path);
  const route = matches.map(([[, found]]) => found).find((found) => found.method === method);
  if (route === undefined) return null;
  const operation = BY_ROUTE.get(`${method} ${route.path}`);
  if (operation === undefined) throw new Error(`${method} ${route.path} is not documented.`);
  return operation;
}

async function problemOf(
  operation: Operation | null,
  request: Request,
  response: Response,
): Promise<string | null> {
  const type = response.headers.get("content-type") ?? "";
  if (request.method === "HEAD" || (operation === null && response.status === 204)) return null;
  const answer = operation?.answers[response.status];
  if (answer !== undefined && type !== "application/problem+json") {
    switch (answer.kind) {
      case "empty":
        return (await response.text()) === "" ? null : "it has a body";
      case "text":
        return type.startsWith(answer.mediaType) ? null : `its type is ${type}`;
      case "json":
        return mismatch(answer.schema.safeParse(await response.json()));
    }
  }
  return refusalProblem(operation, response.status, type, await jsonOf(response));
}

const jsonOf = async (response: Response): Promise<unknown> => response.json().catch(() => null);

function refusalProblem(
  operation: Operation | null,
  status: number,
  type: string,
  body: unknown,
): string | null {
  // A path that is no route still may begin like the token endpoint's.
  const isOauth = operation === null ? type === "application/json" : answersOauth(operation);
  const expected = isOauth ? "application/json" : "application/problem+json";
  if (type !== expected) return `its type is ${type}`;
  const parsed = (isOauth ? oauthErrorSchema : problemSchema).safeParse(body);
  if (!parsed.success) return mismatch(parsed);
  const { code } = parsed.data;
  if (operation === null) {
    return EVERYWHERE.has(code) ? null : `${code} is no refusal of a path without a route`;
  }
  const declared = errorCodesOf(operation);
  if (!declared.includes(code)) return `the code ${code} is not declared in its \`errors\``;
  return statusOf(operation, code) === status ? null : `the status is not that of ${code}`;
}

/** Of a path or method without a route. */
const EVERYWHERE: ReadonlySet<ErrorCode> = new Set([
  "not_found",
  "method_not_allowed",
  "busy",
  "rate_limited",
  "invalid_request",
]);

function mismatch(result: {
  readonly success: boolean;
  readonly error?: { readonly issues: readonly unknown[] } | undefined;
}): string | null {
  if (result.success) return null;
  return `it is not as declared: ${JSON.stringify(result.error?.issues[0])}`;
}

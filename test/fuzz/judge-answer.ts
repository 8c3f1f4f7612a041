import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { JsonObject } from "@mayfly/spec";
import type { ApiDocument, ApiOperation } from "./api-document.ts";
import type { FuzzRequest } from "./fuzz-request.ts";

/** What a target did with one request. */
export type FuzzAnswer =
  | {
      readonly kind: "answered";
      readonly status: number;
      /** In lower case. */
      readonly headers: ReadonlyMap<string, string>;
      readonly text: string;
    }
  /** The connection ended without an answer. */
  | { readonly kind: "closed" }
  /** There was no answer in time. */
  | { readonly kind: "hung" }
  /** The handler threw: only in process. */
  | { readonly kind: "threw"; readonly what: string };
type Answered = Extract<FuzzAnswer, { kind: "answered" }>;

export interface JudgeOptions {
  readonly api: ApiDocument;
  /** The names of the tokens that may administer. */
  readonly administrators: readonly string[];
  /** What must be in no answer at all. */
  readonly secrets: readonly string[];
}

export interface Verdict {
  /** Null: as it should be. */
  readonly problem: string | null;
  /** Credentials in the answer. */
  readonly minted: number;
}

/** What no answer may say of the process behind it. */
const INNARDS: readonly RegExp[] = [
  /\n\s+at .+:\d+/,
  /\bat .{0,200}:\d+:\d+/,
  /node_modules|node:internal/,
  /[\w-]+\.(?:ts|mjs|cjs):\d+/,
  /\/(?:home|tmp|usr|work|root|opt|var)\/[\w.-]+/,
  /\b(?:TypeError|RangeError|SyntaxError|ReferenceError|PostgresError|ZodError)\b/,
  /\b(?:ECONNREFUSED|ECONNRESET|ENOENT|EPIPE)\b/,
  /(?:SELECT .+ FROM|INSERT INTO|UPDATE .+ SET|DELETE FROM) mayfly\b/,
  /invalid byte sequence|invalid input syntax|violates .+ constraint|relation "|column "/,
  /mayfly_(?:broker|worker|migrator)\b/,
];

export function createJudge(options: JudgeOptions) {
  const { api, secrets } = options;
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  const compiled = new Map<JsonObject, ValidateFunction>();
  const validator = (schema: JsonObject): ValidateFunction => {
    const known =
      compiled.get(schema) ?? ajv.compile({ ...schema, components: { schemas: api.schemas } });
    compiled.set(schema, known);
    return known;
  };
  return (request: FuzzRequest, answer: FuzzAnswer): Verdict => {
    const operation = api.find(request.method, request.path.split(/[?#]/, 1)[0] ?? "");
    if (answer.kind !== "answered") return { problem: unanswered(request, answer), minted: 0 };
    const minted = credentialsIn(answer);
    const problem =
      (minted > 0 ? "a credential was minted" : null) ??
      leaked(answer, secrets) ??
      status(answer, operation) ??
      believed(request, answer, operation, options) ??
      (answer.status < 400
        ? success(request, answer, operation, validator)
        : refusal(request, answer, api));
    return { problem, minted };
  };
}

/** Where the bytes are no HTTP, a server may end the connection without a word. */
function unanswered(
  { wire, headers, body }: FuzzRequest,
  answer: Exclude<FuzzAnswer, Answered>,
): string | null {
  switch (answer.kind) {
    case "threw":
      return `the handler threw: ${answer.what}`;
    case "hung":
      return "there was no answer in time";
    case "closed": {
      const isOdd =
        wire !== undefined ||
        (body !== null && body.length > 60_000) ||
        headers.some(([name]) =>
          /^(?:content-length|transfer-encoding|expect|upgrade|connection|x-long)$/i.test(name),
        );
      return isOdd ? null : "the connection ended without an answer";
    }
  }
}

function credentialsIn({ status: code, text }: Answered): number {
  if (code !== 200 || !text.includes('"access_token"')) return 0;
  return [...text.matchAll(/"lease":"lease_/g)].length;
}

function leaked({ text }: Answered, secrets: readonly string[]): string | null {
  if (secrets.some((secret) => text.includes(secret))) return "the answer has a secret in it";
  const innards = INNARDS.find((pattern) => pattern.test(text));
  return innards === undefined ? null : `the answer says ${String(innards.exec(text))}`;
}

/** Overload that is honest, and a backend that said no, are the only failures. */
function status(
  { status: code, headers }: Answered,
  operation: ApiOperation | null,
): string | null {
  const waits = code === 503 || code === 429;
  if (waits && !/^[1-9]\d*$/.test(headers.get("retry-after") ?? "")) return "no Retry-After";
  if (operation !== null && !operation.answers.has(code)) {
    if (![200, 204, 400, 404, 405, 408, 413, 431, 503].includes(code)) {
      return `the status ${code} is not documented of ${operation.method} ${operation.path}`;
    }
  }
  if (code < 500 || code === 503) return null;
  if (code === 502 && operation?.answers.has(502) === true) return null;
  return `the status is ${code}`;
}

/** Whether somebody was taken for another, or did what only administrators may. */
function believed(
  request: FuzzRequest,
  answer: Answered,
  operation: ApiOperation | null,
  { administrators }: JudgeOptions,
): string | null {
  if (operation === null || answer.status >= 300) return null;
  const named = /^Bearer __([a-z0-9.-]+)__$/i;
  const shown = request.headers
    .filter(([name]) => name.toLowerCase() === "authorization")
    .map(([, value]) => named.exec(value)?.[1] ?? "");
  const isByAdministrator = shown.some((name) => administrators.includes(name));
  if (operation.isAdministration && !isByAdministrator) return "a stranger administers";
  const subject = /(?:^|&)subject_token=__([a-z0-9.-]+)__(?:&|$)/.exec(request.body ?? "")?.[1];
  const presented = operation.needsToken ? shown[0] : subject;
  if (presented?.startsWith("forged.") === true) return "a forged token is believed";
  return operation.needsToken && shown.length === 0 ? "nobody is believed" : null;
}

function success(
  { method }: FuzzRequest,
  { status: code, headers, text }: Answered,
  operation: ApiOperation | null,
  validator: (schema: JsonObject) => ValidateFunction,
): string | null {
  if (method === "HEAD" || operation === null || code === 204 || code === 304) return null;
  const type = (headers.get("content-type") ?? "").split(";", 1)[0] ?? "";
  const answers = operation.answers.get(code);
  if (answers === undefined) return null;
  // Documented as one without a body.
  if (answers.size === 0 && text === "") return null;
  if (!answers.has(type)) return `the type ${type} is not documented`;
  const schema = answers.get(type);
  if (type !== "application/json" || schema === undefined || schema === null) return null;
  const validate = validator(schema);
  return validate(jsonOf(text))
    ? null
    : `the answer is not as documented: ${JSON.stringify(validate.errors?.[0])}`;
}

function refusal(
  { method }: FuzzRequest,
  { status: code, headers, text }: Answered,
  { codes }: ApiDocument,
): string | null {
  if (method.toUpperCase() === "HEAD" && text === "") return null;
  const type = headers.get("content-type") ?? "";
  const isProblem = type === "application/problem+json";
  if (!isProblem && type !== "application/json") return `a refusal of type ${type}`;
  const body = jsonOf(text);
  if (typeof body !== "object" || body === null) return "a refusal that is no JSON object";
  const member = (name: string): unknown => Reflect.get(body, name);
  if (!codes.has(String(member("code")))) return `the code ${String(member("code"))} is unknown`;
  const names = isProblem
    ? ["type", "title", "detail", "todo", "trace"]
    : ["error", "error_description", "hint", "trace"];
  const missing = names.find((name) => typeof member(name) !== "string");
  if (missing !== undefined) return `a refusal without ${missing}`;
  if (isProblem && member("status") !== code) return "a problem of another status";
  return text.length > 16_000 ? `a refusal of ${text.length} characters` : null;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

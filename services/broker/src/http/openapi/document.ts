import type { z } from "zod";
import type { JsonObject } from "@mayfly/spec";
import { problemSchema } from "../schemas/problems.ts";
import { collectJsonSchemas, type JsonSchemas } from "./json-schemas.ts";
import { TAGS, type Caller, type Operation } from "./operation.ts";
import { HEADERS, responsesOf, type Refusals } from "./responses.ts";

export interface DocumentOptions {
  /** The broker's public URL. */
  readonly issuer: string;
  readonly version: string;
}

/**
 * The OpenAPI 3.1 document of `operations`. Request schemas are those that parse the requests, and
 * answers those that the views are checked against.
 */
export function openApiDocument(
  operations: readonly Operation[],
  { issuer, version }: DocumentOptions,
): JsonObject {
  const schemas = collectJsonSchemas();
  schemas.answer(problemSchema);
  const shared: Refusals = {};
  const paths: Record<string, JsonObject> = {};
  for (const operation of operations) {
    const path = documentPath(operation.path);
    paths[path] = { ...paths[path], [operation.method]: described(operation, schemas, shared) };
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Mayfly",
      version,
      summary: "Credentials that live as long as the task.",
      description: DESCRIPTION,
    },
    servers: [{ url: issuer }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: sorted(schemas.components),
      securitySchemes: SECURITY_SCHEMES,
      responses: sorted(shared),
      headers: HEADERS,
    },
  };
}

/** Of the API, not of the release: grows with each change of what is answered or accepted. */
export const API_VERSION = "1.0.0";

const DESCRIPTION =
  "The HTTP API of one broker. Members of JSON are snake_case, instants RFC 3339 in UTC, durations " +
  "`15m` or whole seconds in requests and seconds in answers. Requests are closed-world: an " +
  "unknown member is refused by name. Answers may get further members in later versions: ignore " +
  "what you do not know. A refusal is a problem (RFC 9457), at `/token` an OAuth error (RFC 6749 " +
  "section 5.2); both carry a stable `code` and a `trace`. Any path that is not here answers 404 " +
  "`not_found`, any other method 405 `method_not_allowed` with Allow.";

const SECURITY_SCHEMES = {
  administrator: {
    type: "http",
    scheme: "bearer",
    description: "An administrator's token.",
  },
  task: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "at+jwt",
    description: "A task token, as `/token` and heartbeats answer it.",
  },
  boundTask: {
    type: "http",
    scheme: "DPoP",
    description:
      "A task token that is bound to a key, with a proof of that key in the DPoP header (RFC 9449).",
  },
  workload: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "A fresh identity token whose audience is the broker's issuer.",
  },
} as const;

const SECURITY: Readonly<Record<Caller, readonly JsonObject[]>> = {
  anyone: [],
  subject: [],
  administrator: [{ administrator: [] }],
  client: [{}, { task: [] }, { boundTask: [] }, { workload: [] }, { administrator: [] }],
  owner: [{ task: [] }, { boundTask: [] }, { workload: [] }, { administrator: [] }],
};

/** `/v1/tasks/:id` as OpenAPI writes it; a trailing wildcard stands for the shortest path. */
export const documentPath = (path: string): string =>
  path.replace(/\/\*$/, "").replaceAll(/:(\w+)/g, "{$1}");

function described(operation: Operation, schemas: JsonSchemas, shared: Refusals): JsonObject {
  const { id, tag, summary, description, caller } = operation;
  const parameters = operationParameters(operation, schemas);
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    security: SECURITY[caller],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(operation.body === undefined ? {} : { requestBody: bodyOf(operation.body, schemas) }),
    responses: responsesOf(operation, schemas, shared),
  };
}

/** A parameter object of the document. */
export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly schema: JsonObject;
  readonly description?: string;
}

export function operationParameters(
  operation: Operation,
  schemas: JsonSchemas,
): readonly (Parameter & JsonObject)[] {
  const shape = operation.query?.shape ?? {};
  return [
    ...Object.entries(operation.params ?? {}).map(([name, schema]) => ({
      name,
      in: "path" as const,
      required: true,
      schema: schemas.request(schema),
    })),
    ...Object.entries(shape).map(([name, schema]) => ({
      name,
      in: "query" as const,
      required: !isOptional(schema),
      schema: schemas.request(schema),
    })),
    ...(operation.headers ?? []).map(({ name, description, schema }) => ({
      name,
      in: "header" as const,
      description,
      required: false,
      schema: schemas.request(schema),
    })),
  ];
}

const isOptional = (schema: z.ZodType): boolean => schema._zod.optin === "optional";

function bodyOf(body: NonNullable<Operation["body"]>, schemas: JsonSchemas): JsonObject {
  const schema = schemas.request(body.schema);
  switch (body.kind) {
    case "json":
      // An empty body counts as {}.
      return { required: !takesNothing(body.schema), content: { "application/json": { schema } } };
    case "form":
      return {
        required: true,
        content: {
          "application/x-www-form-urlencoded": {
            schema,
            encoding: { authorization_details: { contentType: "application/json" } },
          },
        },
      };
  }
}

const takesNothing = (schema: z.ZodType): boolean => schema.safeParse({}).success;

const sorted = (schemas: Readonly<Record<string, JsonObject>>): JsonObject =>
  Object.fromEntries(Object.entries(schemas).toSorted(([a], [b]) => (a < b ? -1 : 1)));

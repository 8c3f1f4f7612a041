import type { Json, JsonObject } from "@mayfly/spec";

/** One operation of the OpenAPI document that the broker serves. */
export interface ApiOperation {
  readonly method: string;
  /** `/v1/tasks/{id}`. */
  readonly path: string;
  /** Whether it asks for a token in a header, whatever the body has. */
  readonly needsToken: boolean;
  /** Whether nobody but an administrator may call it. */
  readonly isAdministration: boolean;
  readonly parameters: readonly ApiParameter[];
  readonly body: { readonly mediaType: string; readonly schema: JsonObject } | null;
  /** Schemas by status and media type; null: no schema for it. */
  readonly answers: ReadonlyMap<number, ReadonlyMap<string, JsonObject | null>>;
}
export interface ApiParameter {
  readonly name: string;
  readonly in: string;
  readonly schema: JsonObject;
}
export interface ApiDocument {
  readonly operations: readonly ApiOperation[];
  readonly schemas: JsonObject;
  /** The stable codes of errors. */
  readonly codes: ReadonlySet<string>;
  /** What answers a path, if it is that of one operation. */
  find(method: string, path: string): ApiOperation | null;
}

const METHODS = new Set(["get", "put", "post", "patch", "delete"]);

const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);
const listOf = (value: Json | undefined): readonly Json[] => (isList(value) ? value : []);
const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !isList(value) ? value : {};
const textOf = (value: Json | undefined): string => (typeof value === "string" ? value : "");

/** Reads the document. Throws where it holds too little to send anything. */
export function readApiDocument(document: JsonObject): ApiDocument {
  const components = objectOf(document["components"]);
  const operations = Object.entries(objectOf(document["paths"])).flatMap(([path, item]) =>
    Object.entries(objectOf(item))
      .filter(([method]) => METHODS.has(method))
      .map(([method, described]) => operation(method, path, objectOf(described), components)),
  );
  const schemas = objectOf(components["schemas"]);
  const codes = new Set(listOf(objectOf(schemas["ErrorCode"])["enum"]).map(textOf));
  if (operations.length < 20 || codes.size < 10) {
    throw new Error(`the document has ${operations.length} operations and ${codes.size} codes`);
  }
  const patterns = operations.map((one) => ({ one, pattern: patternOf(one.path) }));
  return {
    operations,
    schemas,
    codes,
    find: (method, path) => {
      const found = patterns.filter(
        ({ one, pattern }) => one.method === method && pattern.test(path),
      );
      // `/v1/tasks/kill` is also a `/v1/tasks/{id}`.
      const exact = found.find(({ one }) => one.path === path);
      return exact?.one ?? (found.length === 1 ? (found[0]?.one ?? null) : null);
    },
  };
}

const patternOf = (path: string): RegExp =>
  new RegExp(
    `^${path.replaceAll(/[.*+?^$()|[\]\\]/g, String.raw`\$&`).replaceAll(/\{\w+\}/g, "[^/]+")}$`,
  );

function operation(
  method: string,
  path: string,
  described: JsonObject,
  components: JsonObject,
): ApiOperation {
  const security = listOf(described["security"]).flatMap((one) => Object.keys(objectOf(one)));
  // `{}`: who calls may be shown by the body as well.
  const isOpen = listOf(described["security"]).some(
    (one) => Object.keys(objectOf(one)).length === 0,
  );
  const [content] = Object.entries(objectOf(objectOf(described["requestBody"])["content"]));
  return {
    method: method.toUpperCase(),
    path,
    needsToken: security.length > 0 && !isOpen,
    isAdministration: security.length === 1 && security[0] === "administrator",
    parameters: listOf(described["parameters"]).map((one) => {
      const parameter = objectOf(one);
      return {
        name: textOf(parameter["name"]),
        in: textOf(parameter["in"]),
        schema: objectOf(parameter["schema"]),
      };
    }),
    body:
      content === undefined
        ? null
        : { mediaType: content[0], schema: objectOf(objectOf(content[1])["schema"]) },
    answers: new Map(
      Object.entries(objectOf(described["responses"])).map(([status, response]) => [
        Number(status),
        contentsOf(objectOf(response), components),
      ]),
    ),
  };
}

function contentsOf(
  response: JsonObject,
  components: JsonObject,
): ReadonlyMap<string, JsonObject | null> {
  const name = /^#\/components\/responses\/(.+)$/.exec(textOf(response["$ref"]))?.[1];
  const found = name === undefined ? response : objectOf(objectOf(components["responses"])[name]);
  return new Map(
    Object.entries(objectOf(found["content"])).map(([type, content]) => {
      const { schema } = objectOf(content);
      return [type, schema === undefined ? null : objectOf(schema)];
    }),
  );
}

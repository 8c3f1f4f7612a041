import type { Json, JsonObject, JsonSchema } from "@mayfly/spec";

/** What a schema of certificates says of them, so that a description does not repeat them. */
export const PEM_MEDIA_TYPE = "application/x-pem-file";

/**
 * C3. Settings as people may see them: what is `writeOnly` in the schema is `[secret]`, and
 * certificates are `[certificates]`: that there are some says enough.
 */
export const describeSettings = (schema: JsonSchema, settings: JsonObject): JsonObject =>
  describeObject([schema], settings);

type Schemas = readonly JsonSchema[];

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const schemasIn = (value: unknown): Schemas =>
  (Array.isArray(value) ? value : [value]).filter(isObject);

/** A schema with those that may stand for it: what one of them hides is hidden. */
const alternatives = (schemas: Schemas): Schemas =>
  schemas.flatMap((schema) => [
    schema,
    ...["anyOf", "oneOf", "allOf"].flatMap((word) => alternatives(schemasIn(schema[word]))),
  ]);

function describe(given: Schemas, value: Json): Json {
  const schemas = alternatives(given);
  if (schemas.some((schema) => schema["writeOnly"] === true)) return "[secret]";
  if (schemas.some((schema) => schema["contentMediaType"] === PEM_MEDIA_TYPE)) {
    return "[certificates]";
  }
  if (Array.isArray(value)) {
    const items = schemas.flatMap((schema) => [
      ...schemasIn(schema["items"]),
      ...schemasIn(schema["prefixItems"]),
    ]);
    return value.map((item: Json) => describe(items, item));
  }
  return isObject(value) ? describeObject(schemas, value) : value;
}

function describeObject(given: Schemas, value: JsonObject): JsonObject {
  const schemas = alternatives(given);
  const of = (name: string): Schemas =>
    schemas.flatMap(({ properties, additionalProperties }) =>
      isObject(properties) && Object.hasOwn(properties, name)
        ? schemasIn(properties[name])
        : schemasIn(additionalProperties),
    );
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, describe(of(name), member)]),
  );
}

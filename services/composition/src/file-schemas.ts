import { RESOURCE_SERVER_SCHEMA, ROLE_MEMBERS_SCHEMA } from "@mayfly/core";
import { TRUST_CONFIG_SCHEMAS } from "@mayfly/identity";
import { POLICY_TESTS_SCHEMA } from "@mayfly/policy";
import {
  NAME_PATTERNS,
  type CredentialBackend,
  type Json,
  type JsonObject,
  type JsonSchema,
} from "@mayfly/spec";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";
const REFERENCE: JsonSchema = {
  type: "object",
  description: "Where the text comes from, so that no file holds a secret.",
  properties: { from: { type: "string", pattern: "^(env:.+|file:.+|stdin)$" } },
  required: ["from"],
  additionalProperties: false,
};
const REFERENCE_NAME = "reference";

/**
 * The JSON Schemas (draft 2020-12) of a platform team's files, by file name: for each kind one
 * that tells the types apart, and one for each type. Made from the schemas that parse, so what an
 * editor marks is what the broker would refuse. What only code can check is left to the broker.
 */
export function fileSchemas(types: readonly CredentialBackend[]): ReadonlyMap<string, JsonSchema> {
  const backends = types.map((type) => [type.type, backendSchema(type)] as const);
  const roles = types.map((type) => [type.type, roleSchema(type)] as const);
  const trusts = (["oidc", "spiffe", "x509"] as const).map(
    (kind) => [kind, trustSchema(kind)] as const,
  );
  return new Map<string, JsonSchema>([
    ["backend.json", document("A backend, of any type", byMember("type", backends))],
    ...backends.map(([type, schema]): [string, JsonSchema] => [
      `backend.${type}.json`,
      document(`A backend of type ${type}`, schema),
    ]),
    [
      "role.json",
      document("A role, on a backend of any type", { anyOf: roles.map(([, schema]) => schema) }),
    ],
    ...roles.map(([type, schema]): [string, JsonSchema] => [
      `role.${type}.json`,
      document(`A role on a backend of type ${type}`, schema),
    ]),
    ["trust.json", document("A trust root, of any kind", byMember("kind", trusts))],
    ...trusts.map(([kind, schema]): [string, JsonSchema] => [
      `trust.${kind}.json`,
      document(`A trust root of kind ${kind}`, schema),
    ]),
    [
      "resource-server.json",
      document("A server that may introspect tokens", withoutDialect(RESOURCE_SERVER_SCHEMA)),
    ],
    ["policy-tests.json", document("Tests of policies", withoutDialect(POLICY_TESTS_SCHEMA))],
  ]);
}

/** References stand at the root, whatever points to them. */
const document = (title: string, schema: JsonSchema): JsonSchema => ({
  $schema: DIALECT,
  title,
  ...schema,
  $defs: { ...objectAt(schema, "$defs"), [REFERENCE_NAME]: REFERENCE },
});

/** Tells the alternatives apart by one member, so that an editor complains about the right one. */
function byMember(member: string, schemas: readonly (readonly [string, JsonSchema])[]): JsonSchema {
  return {
    type: "object",
    properties: { [member]: { enum: schemas.map(([value]) => value) } },
    required: [member],
    allOf: schemas.map(([value, schema]) => {
      const condition = { properties: { [member]: { const: value } }, required: [member] };
      return Object.fromEntries(new Map<string, Json>([["if", condition]]).set("then", schema));
    }),
  };
}

const backendSchema = (type: CredentialBackend): JsonSchema => ({
  type: "object",
  properties: {
    backend: name("backend", "The backend's name, before the slash in its roles' names."),
    type: { const: type.type },
    config: referable(withoutDialect(type.configSchema)),
    enabled: { type: "boolean", description: "Issuing stops where false; ending never does." },
  },
  required: ["backend", "type", "config"],
  additionalProperties: false,
});

function roleSchema(type: CredentialBackend): JsonSchema {
  const [common, own] = [ROLE_MEMBERS_SCHEMA, type.roleSchema].map(withoutDialect);
  return {
    type: "object",
    properties: { ...objectAt(common, "properties"), ...objectAt(own, "properties") },
    required: [...listAt(common, "required"), ...listAt(own, "required")],
    additionalProperties: false,
  };
}

const trustSchema = (kind: keyof typeof TRUST_CONFIG_SCHEMAS): JsonSchema => ({
  type: "object",
  properties: {
    trust: name("trust", "The trust root's name; policies see it as trust_root."),
    kind: { const: kind },
    config: withoutDialect(TRUST_CONFIG_SCHEMAS[kind]),
    enabled: { type: "boolean", description: "Its identities are refused where false." },
  },
  required: ["trust", "kind", "config"],
  additionalProperties: false,
});

const name = (kind: keyof typeof NAME_PATTERNS, description: string): JsonSchema => ({
  type: "string",
  pattern: NAME_PATTERNS[kind],
  description,
});

/**
 * The same with references: a secret (`writeOnly`) is one and nothing else, another text may be
 * one, since certificates are long.
 */
function referable(schema: JsonSchema): JsonSchema {
  const reference: JsonSchema = { $ref: `#/$defs/${REFERENCE_NAME}` };
  if (schema["writeOnly"] === true) {
    const { description } = schema;
    return { ...reference, writeOnly: true, ...(description === undefined ? {} : { description }) };
  }
  if (schema["type"] === "string" && schema["enum"] === undefined) {
    const { description, default: standard, ...text } = schema;
    return {
      anyOf: [text, reference],
      ...(description === undefined ? {} : { description }),
      ...(standard === undefined ? {} : { default: standard }),
    };
  }
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]): [string, Json] => {
      if (key === "properties") return [key, mapMembers(value, referable)];
      if (key === "items" && isObject(value)) return [key, referable(value)];
      if ((key === "anyOf" || key === "allOf" || key === "oneOf") && isList(value)) {
        return [key, value.map((each) => (isObject(each) ? referable(each) : each))];
      }
      return [key, value];
    }),
  );
}

function mapMembers(value: Json, change: (schema: JsonSchema) => JsonSchema): Json {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, isObject(each) ? change(each) : each]),
  );
}

function withoutDialect(schema: JsonSchema): JsonSchema {
  const { $schema: _, ...rest } = schema;
  return rest;
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);
const listOf = (value: Json | undefined): readonly Json[] => (isList(value) ? value : []);
const objectAt = (schema: JsonSchema | undefined, key: string): JsonObject => {
  const value = schema?.[key];
  return isObject(value) ? value : {};
};
const listAt = (schema: JsonSchema | undefined, key: string): readonly Json[] =>
  listOf(schema?.[key]);

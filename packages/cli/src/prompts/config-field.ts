import type { Json, JsonObject, JsonSchema } from "@mayfly/spec";

/** What is asked for one member of a configuration, read from the JSON Schema of its type. */
export type ConfigField = FieldFacts &
  (
    | { readonly kind: "text" | "number" | "flag" }
    /** A text that is never shown and stands in no file. */
    | { readonly kind: "secret" }
    /** A text of many lines: certificates. Asked for as the path of a file. */
    | { readonly kind: "document" }
    | { readonly kind: "choice"; readonly choices: readonly Json[] }
    /** It can have no other value, so nobody is asked. */
    | { readonly kind: "fixed"; readonly value: Json }
    | { readonly kind: "object"; readonly members: readonly ConfigMember[] }
    /** Members whose names are chosen by whoever writes them. */
    | {
        readonly kind: "record";
        readonly names: ConfigField;
        readonly value: ConfigField;
        readonly least: number;
      }
    | {
        readonly kind: "list";
        readonly item: ConfigField;
        readonly least: number;
        readonly most: number;
      }
    | { readonly kind: "variants"; readonly variants: readonly ConfigVariant[] }
    /** What has no form that could be asked for: it is given as JSON. */
    | { readonly kind: "json" }
  );
export interface FieldFacts {
  readonly schema: JsonSchema;
  readonly description: string | null;
  readonly standard: Json | undefined;
}
export interface ConfigMember {
  readonly name: string;
  readonly field: ConfigField;
  readonly required: boolean;
}
export interface ConfigVariant {
  readonly name: string;
  readonly field: ConfigField;
}

/** As the kit marks certificates. */
const PEM_MEDIA_TYPE = "application/x-pem-file";
/** Deeper than any configuration that a person writes; what is below is given as JSON. */
const DEPTH_MAX = 12;
const ITEMS_MAX = 1_000;

/** Total: what this cannot read is asked for as JSON, and judged by the broker alone. */
export const readConfigField = (schema: JsonSchema): ConfigField =>
  read(schema, { root: schema, depth: 0, hidden: false });

interface Reading {
  readonly root: JsonSchema;
  readonly depth: number;
  /** What stands in something secret is secret. */
  readonly hidden: boolean;
}

function read(given: JsonSchema, reading: Reading): ConfigField {
  const schema = resolved(given, reading.root);
  const facts: FieldFacts = {
    schema,
    description: typeof schema["description"] === "string" ? schema["description"] : null,
    standard: schema["default"],
  };
  const hidden = reading.hidden || schema["writeOnly"] === true;
  if (reading.depth >= DEPTH_MAX) return { ...facts, kind: hidden ? "secret" : "json" };
  const below = { ...reading, hidden, depth: reading.depth + 1 };
  const known =
    fixedOrChoice(schema, facts) ??
    variantsOf(schema, facts, below) ??
    composed(schema, facts, below);
  if (known !== null) return known;
  if (hidden) return { ...facts, kind: "secret" };
  switch (schema["type"]) {
    case "string":
      return {
        ...facts,
        kind: schema["contentMediaType"] === PEM_MEDIA_TYPE ? "document" : "text",
      };
    case "integer":
    case "number":
      return { ...facts, kind: "number" };
    case "boolean":
      return { ...facts, kind: "flag" };
    default:
      return { ...facts, kind: "json" };
  }
}

function fixedOrChoice(schema: JsonSchema, facts: FieldFacts): ConfigField | null {
  const value = schema["const"];
  if (value !== undefined) return { ...facts, kind: "fixed", value };
  const choices = listAt(schema, "enum");
  const [only] = choices;
  if (only === undefined) return null;
  return choices.length === 1
    ? { ...facts, kind: "fixed", value: only }
    : { ...facts, kind: "choice", choices };
}

function variantsOf(schema: JsonSchema, facts: FieldFacts, below: Reading): ConfigField | null {
  if ("allOf" in schema || "properties" in schema) return null;
  const schemas = [...listAt(schema, "oneOf"), ...listAt(schema, "anyOf")].filter(isObject);
  if (schemas.length === 0) return null;
  const fields = schemas.map((each) => read(each, below));
  const [only] = fields;
  if (fields.length === 1 && only !== undefined) return { ...only, ...described(facts, only) };
  const names = fields.map((field, at) => variantName(field, at));
  const variants = fields.map((field, at) => ({
    field,
    name: names.indexOf(names[at] ?? "") === at ? (names[at] ?? "") : `${names[at]} (${at + 1})`,
  }));
  return { ...facts, kind: "variants", variants };
}

const described = (outer: FieldFacts, inner: FieldFacts): Partial<FieldFacts> => ({
  description: outer.description ?? inner.description,
  standard: outer.standard ?? inner.standard,
});

/** By the value that tells it from the others, such as `source: aws_kms`; else by its form. */
function variantName(field: ConfigField, at: number): string {
  if (field.kind === "object") {
    const fixed = field.members.find(
      (member) => member.required && member.field.kind === "fixed",
    )?.field;
    if (fixed?.kind === "fixed" && typeof fixed.value === "string") return fixed.value;
    return field.description ?? `form ${at + 1}`;
  }
  return field.kind === "fixed" ? JSON.stringify(field.value) : kindName(field);
}

export function kindName(field: ConfigField): string {
  switch (field.kind) {
    case "flag":
      return "true or false";
    case "list":
      return `list of ${kindName(field.item)}`;
    case "document":
      return "file";
    case "record":
      return "names with values";
    case "json":
      return "JSON";
    default:
      return field.kind;
  }
}

function composed(schema: JsonSchema, facts: FieldFacts, below: Reading): ConfigField | null {
  if ("allOf" in schema) return null;
  const items = schema["items"];
  if (schema["type"] === "array") {
    if (!isObject(items) || "prefixItems" in schema) return null;
    const least = numberAt(schema, "minItems") ?? 0;
    const most = numberAt(schema, "maxItems") ?? ITEMS_MAX;
    return { ...facts, kind: "list", item: read(items, below), least, most };
  }
  if (schema["type"] !== "object") return null;
  const properties = Object.entries(objectAt(schema, "properties"));
  const required = listAt(schema, "required");
  const rest = schema["additionalProperties"];
  if (properties.length > 0) {
    const members = properties.map(([name, member]) => ({
      name,
      field: read(isObject(member) ? member : {}, below),
      required: required.includes(name),
    }));
    return { ...facts, kind: "object", members };
  }
  if (rest === false) return { ...facts, kind: "object", members: [] };
  if (!isObject(rest)) return null;
  const names = read({ type: "string", ...objectAt(schema, "propertyNames") }, below);
  const least = numberAt(schema, "minProperties") ?? 0;
  return { ...facts, kind: "record", names, value: read(rest, below), least };
}

/** Of references within the document, and not of those that lead to others. */
function resolved(schema: JsonSchema, root: JsonSchema): JsonSchema {
  const reference = schema["$ref"];
  if (typeof reference !== "string" || !reference.startsWith("#/$defs/")) return schema;
  const target = objectAt(root, "$defs")[reference.slice("#/$defs/".length)];
  const { $ref: _, ...rest } = schema;
  return isObject(target) ? { ...target, ...rest } : rest;
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);
function listAt(schema: JsonSchema, key: string): readonly Json[] {
  const value = schema[key];
  return isList(value) ? value : [];
}
function objectAt(schema: JsonSchema, key: string): JsonObject {
  const value = schema[key];
  return isObject(value) ? value : {};
}
function numberAt(schema: JsonSchema, key: string): number | null {
  const value = schema[key];
  return typeof value === "number" ? value : null;
}

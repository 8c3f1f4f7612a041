import { html } from "hono/html";
import type { Json, JsonObject } from "@mayfly/spec";
import { prose, type Html } from "./page-layout.ts";

interface Row {
  readonly path: string;
  readonly isRequired: boolean;
  readonly schema: JsonObject;
}

/** How deep members are shown in one table; below, their schema has a table of its own. */
const DEPTH_MAX = 4;

/** A table of the members of a schema, those of inner objects by their path. */
export function memberTable(schema: JsonObject): Html {
  const variants = listOf(schema["anyOf"] ?? schema["oneOf"]);
  if (variants.some(hasMembers)) {
    return html`${variants.map(
      (variant) =>
        html`<p>One form:</p>
          ${memberTable(variant)}`,
    )}`;
  }
  const rows = rowsOf(schema, "", 0);
  if (rows.length === 0) return html`<p>${typeText(schema)}</p>`;
  return table(rows);
}

export const parameterTable = (
  parameters: readonly { readonly name: string; readonly required: boolean; schema: JsonObject }[],
): Html =>
  table(
    parameters.map(({ name, required, schema }) => ({ path: name, isRequired: required, schema })),
  );

const table = (rows: readonly Row[]): Html => html`
  <table>
    <thead>
      <tr>
        <th>member</th>
        <th>what</th>
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr>
            <td>
              <code>${row.path}</code
              >${row.isRequired ? html` <span class="must">required</span>` : ""}
            </td>
            <td>
              ${typeText(row.schema)}
              ${
                typeof row.schema["description"] === "string"
                  ? html`<br />${prose(row.schema["description"])}`
                  : ""
              }
            </td>
          </tr>`,
      )}
    </tbody>
  </table>
`;

function rowsOf(schema: JsonObject, prefix: string, depth: number): readonly Row[] {
  const required = new Set(namesIn(schema["required"]));
  return Object.entries(objectOf(schema["properties"])).flatMap(([name, member]) => {
    const inner = objectOf(member);
    const path = `${prefix}${name}`;
    const row = { path, isRequired: required.has(name), schema: inner };
    return depth >= DEPTH_MAX ? [row] : [row, ...innerRows(inner, path, depth + 1)];
  });
}

function innerRows(schema: JsonObject, path: string, depth: number): readonly Row[] {
  if (schema["type"] === "array") return innerRows(objectOf(schema["items"]), `${path}[]`, depth);
  const nullable = listOf(schema["anyOf"]).find(hasMembers);
  return rowsOf(nullable ?? schema, `${path}.`, depth);
}

/** The type of a schema in words, with links to the schemas that it names. */
export function typeText(schema: JsonObject): Html {
  const { $ref, type } = schema;
  const variants = listOf(schema["anyOf"] ?? schema["oneOf"]);
  if (typeof $ref === "string") {
    const name = $ref.slice($ref.lastIndexOf("/") + 1);
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  if (variants.length > 0) return joined(variants.map(typeText), " or ");
  if (Object.hasOwn(schema, "const")) return html`<code>${JSON.stringify(schema["const"])}</code>`;
  const values = namesIn(schema["enum"]);
  if (values.length > 0) {
    return joined(
      values.map((value) => html`<code>${value}</code>`),
      " | ",
    );
  }
  if (type === "array") return html`array of ${typeText(objectOf(schema["items"]))}`;
  return html`${typeof type === "string" ? type : "anything"}${bounds(schema)}`;
}

function bounds(schema: JsonObject): Html {
  const { minimum, maximum, minLength, maxLength, pattern, format } = schema;
  const range =
    minimum !== undefined && maximum !== undefined ? ` ${num(minimum)} to ${num(maximum)}` : "";
  const length =
    maxLength === undefined ? "" : `, ${num(minLength ?? 0)} to ${num(maxLength)} characters`;
  const form = typeof format === "string" ? ` (${format})` : "";
  return html`${range}${length}${form}${
    typeof pattern === "string" && form === "" && pattern.length < 120
      ? html`, <code>${pattern}</code>`
      : ""
  }`;
}

const num = (value: Json): string => (typeof value === "number" ? value.toLocaleString("en") : "");

const joined = (parts: readonly Html[], between: string): Html =>
  html`${parts.map((part, n) => (n === 0 ? part : html`${between}${part}`))}`;

const hasMembers = (schema: JsonObject): boolean => schema["properties"] !== undefined;

const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !isList(value) ? value : {};
const isList = (value: Json): value is readonly Json[] => Array.isArray(value);
const listOf = (value: Json | undefined): readonly JsonObject[] =>
  value !== undefined && isList(value) ? value.map(objectOf) : [];
const namesIn = (value: Json | undefined): readonly string[] =>
  value !== undefined && isList(value) ? value.map(String) : [];

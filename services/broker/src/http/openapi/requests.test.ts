import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { BrokerError, type Json, type JsonObject } from "@mayfly/spec";
import { arbitraryOf } from "../../testing/arbitrary-json-schema.ts";
import { ALL_OPERATIONS } from "../operations/all-operations.ts";
import { readExchange } from "../routes/token.ts";
import { exchangeForm } from "../schemas/token.ts";
import { collectJsonSchemas } from "./json-schemas.ts";
import { routeName } from "./operation.ts";

const RUNS = 150;

/** What no JSON Schema can say, by the parser's words: the text of a duration out of its bounds. */
const BEYOND_SCHEMAS = /^expected \d+ to \d+ seconds$/;

interface Compared {
  readonly schema: JsonObject;
  readonly components: JsonObject;
  readonly validate: ValidateFunction;
}

/** The schema as a stranger's tool has it from the document. */
function published(schema: z.ZodType): Compared {
  const schemas = collectJsonSchemas();
  const root = schemas.request(schema);
  const components = { ...schemas.components };
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  return {
    schema: root,
    components,
    validate: ajv.compile({ ...root, components: { schemas: components } }),
  };
}

const refusalOf = (schema: z.ZodType, value: unknown): string | null => {
  const result = schema.safeParse(value);
  return result.success ? null : said(result.error.issues);
};

/** Of several forms, what is said of the one that is refused for nothing that a schema can say. */
function said(issues: readonly z.core.$ZodIssue[]): string {
  const texts = issues.map((issue) =>
    issue.code === "invalid_union"
      ? (issue.errors.map(said).find((text) => BEYOND_SCHEMAS.test(text)) ?? issue.message)
      : issue.message,
  );
  return texts.find((text) => !BEYOND_SCHEMAS.test(text)) ?? texts[0] ?? "refused";
}

/** Null where both say the same. */
function disagreement(value: Json, isPublished: boolean, refusal: string | null): string | null {
  if (isPublished && refusal !== null && BEYOND_SCHEMAS.test(refusal)) return null;
  if (isPublished === (refusal === null)) return null;
  const schema = isPublished ? "takes" : "refuses";
  return `the schema ${schema} ${JSON.stringify(value)}; the parser says ${refusal ?? "yes"}`;
}

const bodies = ALL_OPERATIONS.flatMap((operation) =>
  operation.body?.kind === "json" ? [[routeName(operation), operation.body.schema] as const] : [],
);
const parameters = ALL_OPERATIONS.flatMap((operation) =>
  Object.entries(operation.query?.shape ?? {}).map(
    ([name, schema]) => [`${routeName(operation)} ?${name}`, schema] as const,
  ),
);

describe("the document takes what the parser takes, and refuses what it refuses", () => {
  it.each(bodies)("in the body of %s", (_route, schema) => {
    const { validate, ...of } = published(schema);
    fc.assert(
      fc.property(arbitraryOf(of.schema, of.components), (value) => {
        expect(disagreement(value, validate(value), refusalOf(schema, value))).toBeNull();
      }),
      { numRuns: RUNS },
    );
  });
  it.each(parameters)("in the query of %s", (_route, schema) => {
    const { validate, ...of } = published(schema);
    const isNumber = of.schema["type"] === "integer";
    fc.assert(
      fc.property(arbitraryOf(of.schema, of.components), (value) => {
        // A query holds text; that of a number is the number.
        fc.pre(typeof value === (isNumber ? "number" : "string"));
        expect(disagreement(value, validate(value), refusalOf(schema, textOf(value)))).toBeNull();
      }),
      { numRuns: RUNS },
    );
  });
  it("in the form of /token and /v1/explain", () => {
    const { validate, ...of } = published(exchangeForm);
    let taken = 0;
    fc.assert(
      fc.property(arbitraryOf(of.schema, of.components), (value) => {
        fc.pre(isForm(value));
        const refusal = refusalOfForm(value);
        if (refusal === null) taken += 1;
        expect(disagreement(value, validate(value), refusal)).toBeNull();
      }),
      { numRuns: 1500 },
    );
    expect(taken).toBeGreaterThan(20);
  });
});

const textOf = (value: Json): string =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : "";

const ISSUER = "https://mayfly.test";
/** Of another target or of a scope the code is its own, and the schema says nothing. */
const isForm = (value: Json): value is { readonly [name: string]: Json } =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.entries(value).every(
    ([name, member]) =>
      name === "authorization_details" || (typeof member === "string" && member !== ""),
  );

/** As `/token` reads it, up to the descriptor: that one's forms are compared with its parser. */
function refusalOfForm(form: { readonly [name: string]: Json }): string | null {
  const { authorization_details: details, audience: _a, resource: _r, ...rest } = form;
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) body.set(name, textOf(value));
  if (details !== undefined) body.set("authorization_details", JSON.stringify(details));
  const headers = new Headers({ "content-type": "application/x-www-form-urlencoded" });
  try {
    const ofHeaders = (name: string): string | undefined => headers.get(name) ?? undefined;
    const read = readExchange(ofHeaders, body.toString(), ISSUER, () => [new Uint8Array()]);
    return refusalOf(exchangeForm.shape.authorization_details, [read.details]);
  } catch (error) {
    if (BrokerError.is(error)) return error.message;
    throw error;
  }
}

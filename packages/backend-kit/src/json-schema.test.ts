import { expect, test } from "vitest";
import { z } from "zod";
import { toJsonSchema } from "./json-schema.ts";

const named = (message: string) => z.string().regex(/^[a-z]+$/, message);

test("what a pattern says of a text that it refuses is in the schema, wherever the text stands", () => {
  const schema = toJsonSchema(
    z.strictObject({
      one: named("expected letters").optional(),
      more: z.array(z.strictObject({ two: named("expected small letters") })).default([]),
    }),
  );
  expect(schema).toMatchObject({
    properties: {
      one: { pattern: "^[a-z]+$", patternErrorMessage: "expected letters" },
      more: { items: { properties: { two: { patternErrorMessage: "expected small letters" } } } },
    },
  });
});

test("a pattern without words of its own, and two of them, say nothing", () => {
  const none = toJsonSchema(z.string().regex(/^[a-z]+$/));
  const two = toJsonSchema(named("expected letters").regex(/^a/, "expected an a"));
  for (const schema of [none, two]) expect(schema).not.toHaveProperty("patternErrorMessage");
});

import fc from "fast-check";
import { checkAnswer, type ConfigField } from "@mayfly/cli";
import type { Json } from "@mayfly/spec";

/** For patterns that no generator of texts is made from, such as those that look ahead. */
const TEXTS = [
  "a",
  "agents/team-1",
  "db.internal",
  "https://sts.internal:8443",
  "arn:aws:iam::123456789012:role/agents/reader",
  "arn:aws:kms:eu-west-1:123456789012:key/0b1f0a2e-0000-4000-8000-000000000000",
  "https://minter.acme.test/mayfly",
  "eu-west-1",
  "123456789012",
  "AKIAAAAAAAAAAAAAAAAA",
  "acme.test",
  "/var/run/secrets/mayfly-backends/token",
];

/** Values that the schema of a field accepts, of everything that a person can answer. */
export function arbitraryValue(field: ConfigField): fc.Arbitrary<Json> {
  switch (field.kind) {
    case "fixed":
      return fc.constant(field.value);
    case "flag":
      return fc.boolean();
    case "choice":
      return fc.constantFrom(...field.choices);
    case "number":
      return arbitraryNumber(field);
    case "object": {
      const members = field.members.map(({ name, field: member, required }) => {
        const value = arbitraryValue(member);
        const maybe = required ? value : fc.option(value, { nil: undefined });
        return maybe.map((each): [string, Json][] => (each === undefined ? [] : [[name, each]]));
      });
      return fc.tuple(...members).map((each) => Object.fromEntries(each.flat()));
    }
    case "list":
      return fc.array(arbitraryValue(field.item), {
        minLength: field.least,
        maxLength: Math.min(field.most, field.least + 2),
      });
    case "record":
      return fc.dictionary(arbitraryText(field.names), arbitraryValue(field.value), {
        minKeys: field.least,
        maxKeys: field.least + 2,
        noNullPrototype: true,
      });
    case "variants":
      return fc.oneof(...field.variants.map((variant) => arbitraryValue(variant.field)));
    case "json":
      return fc.constantFrom<Json>(null, 1, "text", ["a", 2], { a: { b: [true] } });
    default:
      return arbitraryText(field);
  }
}

function arbitraryNumber({ schema }: ConfigField): fc.Arbitrary<number> {
  const number = (key: string): number | null => {
    const value = schema[key];
    return typeof value === "number" ? value : null;
  };
  const least = number("minimum") ?? number("exclusiveMinimum") ?? -1_000;
  const most = number("maximum") ?? 1_000_000;
  const whole = fc.integer({ min: Math.ceil(least), max: Math.floor(most) });
  const any =
    schema["type"] === "integer"
      ? whole
      : fc.oneof(
          whole,
          fc.double({ min: least, max: most, noNaN: true }).map((value) => value + 0),
        );
  return any.filter((value) => checkAnswer(schema, value) === null && !Object.is(value, -0));
}

function arbitraryText({ schema, standard }: ConfigField): fc.Arbitrary<string> {
  const isFit = (text: string): boolean =>
    checkAnswer(schema, text) === null &&
    /^[\x20-\x7e\u00a1-\u00ac\u4e00-\u4fff]*$/.test(text) &&
    // An empty answer is the default.
    (text !== "" || standard === undefined);
  const known = TEXTS.filter(isFit);
  const { pattern } = schema;
  const made = typeof pattern === "string" ? matching(pattern) : fc.string({ maxLength: 40 });
  if (made === null) return fc.constantFrom(...known);
  return made.filter(isFit);
}

function matching(pattern: string): fc.Arbitrary<string> | null {
  try {
    return fc.stringMatching(new RegExp(pattern, "u"), { size: "small" });
  } catch {
    return null;
  }
}

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseStrictJson } from "./strict-json.ts";

const parse = (text: string): unknown => parseStrictJson(text, "details", "invalid_task");

describe("strict JSON", () => {
  it.each([
    ["a repeated member", '{"role":"a","role":"b"}', "has the member role twice"],
    ["a repeated member that is spelt with an escape", '{"role":"a","r\\u006fle":"b"}', "twice"],
    ["a member repeated deep inside", '[{"a":{"b":1,"b":1}}]', "twice"],
    ["a comment", '{"a":1 /* x */}', "is not JSON"],
    ["a trailing comma", "[1,]", "is not JSON"],
    ["an empty text", "", "is not JSON"],
    ["two values", "{} {}", "is not JSON"],
    ["an integer past 2^53", "[9007199254740993]", "has a number out of range"],
    ["minus zero", '{"a":[-0]}', "minus zero"],
    ["an overflowing number", "[1e999]", "out of range"],
    ["a lone surrogate", '["\\ud800"]', "unpaired surrogate"],
    ["nine levels", "[[[[[[[[[1]]]]]]]]]", "nested more than 8 deep"],
    ["a single-quoted string", "['a']", "is not JSON"],
  ])("refuses %s and says where", (_what, text, why) => {
    expect(() => parse(text)).toThrow(why);
    expect(() => parse(text)).toThrow(/^details: /);
  });
  it("keeps members with the names of Object's own", () => {
    const value = parse('{"toString":1,"constructor":2}');
    expect(Object.keys(value as object)).toEqual(["toString", "constructor"]);
  });
  it.each(['{"__proto__":1}', '[{"a":{"__pro\\u0074o__":{}}}]'])(
    "refuses the one member that schemas would lose: %s",
    (text) => {
      expect(() => parse(text)).toThrow("has a member __proto__");
    },
  );
  it("reads whatever JSON.stringify writes within its bounds", () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 5, noUnicodeString: false }).filter((value) => {
          const text = JSON.stringify(value);
          return (
            text.isWellFormed() &&
            !/\\ud[89a-f]/i.test(text) &&
            !/\d{16}|e[+-]?\d|__proto__/.test(text)
          );
        }),
        (value) => {
          expect(parse(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
        },
      ),
    );
  });
  it("never throws anything but its own error, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        try {
          parse(text);
        } catch (error) {
          expect(error).toHaveProperty("code", "invalid_task");
        }
      }),
    );
  });
});

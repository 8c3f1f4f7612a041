import { describe, expect, test } from "vitest";
import { JSON_DEPTH_MAX, parseShallowJson } from "./parse-shallow-json.ts";

const nested = (depth: number, open: string, inner: string, close: string): string =>
  open.repeat(depth) + inner + close.repeat(depth);

describe("JSON from outside", () => {
  test.each([
    ["arrays", "[", "0", "]"],
    ["objects", '{"a":', "0", "}"],
    ["arrays after elements", '[0,"[{",', "0", "]"],
    ["objects whose names close and open", '{"}]\\"}\\\\":0,"b":', "0", "}"],
  ] as const)("of %s is read to its greatest depth, and no deeper", (_what, open, inner, close) => {
    const text = nested(JSON_DEPTH_MAX, open, inner, close);
    expect(parseShallowJson(text)).toEqual(JSON.parse(text));
    expect(() => parseShallowJson(nested(JSON_DEPTH_MAX + 1, open, inner, close))).toThrow(
      "the JSON is nested more than 64 deep",
    );
  });

  test("may have as many levels beside each other as it likes", () => {
    const text = `[${Array.from({ length: 1000 }, () => '[{"a":[]}]').join(",")}]`;
    expect(parseShallowJson(text)).toEqual(JSON.parse(text));
  });

  test("may have in its strings what would open and close", () => {
    for (const text of [`"${"[".repeat(100)}"`, `["\\"${"{".repeat(100)}"]`, '["\\\\",["x"]]']) {
      expect(parseShallowJson(text)).toEqual(JSON.parse(text));
    }
  });

  test("is refused as JSON.parse refuses it where it is none", () => {
    for (const text of ["", "[", "]", "[}", '"', '"\\', "{]", "[0}", "nul"]) {
      expect(() => parseShallowJson(text), text).toThrow(SyntaxError);
    }
  });

  test("is revived as JSON.parse revives it, with each number's own digits", () => {
    const seen: (string | undefined)[] = [];
    parseShallowJson("[1.0, 2e0]", (_name, value, context) => {
      seen.push(context?.source);
      return value;
    });
    expect(seen).toEqual(["1.0", "2e0", undefined]);
  });
});

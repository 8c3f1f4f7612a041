import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTestSigningKey, signCompact, signText } from "@mayfly/testkit";
import { parseCompactJwt, TOKEN_BYTES_MAX } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";

const key = createTestSigningKey("k");
const sound = signCompact(key, { alg: "ES256" }, { sub: "s" });

function reasonOf(text: string): string {
  try {
    parseCompactJwt(text);
    return "parsed";
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

describe("compact JWT", () => {
  test("takes header and claims apart", () => {
    expect(parseCompactJwt(sound)).toEqual({
      compact: sound,
      header: { alg: "ES256" },
      payload: Buffer.from('{"sub":"s"}'),
      claims: { sub: "s" },
    });
  });

  test("8 KiB are read, one byte more is refused before anything is decoded", () => {
    const padded = (length: number): string => `${sound}${"A".repeat(length - sound.length)}`;
    expect(reasonOf(padded(TOKEN_BYTES_MAX))).toBe("parsed");
    expect(reasonOf(padded(TOKEN_BYTES_MAX + 1))).toBe("too_large");
    expect(reasonOf("}".repeat(TOKEN_BYTES_MAX + 1))).toBe("too_large");
  });

  test.each([
    ["a JWE", `${sound}.AAAA.AAAA`],
    ["the flattened JSON serialization", JSON.stringify({ payload: "e30", protected: "e30" })],
    ["the general JSON serialization", JSON.stringify({ payload: "e30", signatures: [] })],
    ["two parts", "e30.e30"],
    ["a space around it", ` ${sound}`],
    ["a line break at its end", `${sound}\n`],
    ["padding", "e30=.e30.AA"],
    ["the alphabet of plain base64", "e3+0.e3/0.AA"],
    ["a header that is a list", signText(key, "[]", "{}")],
    ["a header that is text", signText(key, '"alg"', "{}")],
    ["a payload that is null", signText(key, "{}", "null")],
    ["a payload that is not JSON", signText(key, "{}", "{'a':1}")],
    ["a byte order mark", signText(key, "{}", "\uFEFF{}")],
    ["bytes that are not UTF-8", `e30.${Buffer.from([0x22, 0xff, 0x22]).toString("base64url")}.AA`],
    ["nothing", ""],
    ["a number that no double holds", signText(key, "{}", '{"a":[{"exp":1e999}]}')],
    ["a whole number that no double holds", signText(key, "{}", `{"exp":${"9".repeat(400)}}`)],
    ["nesting beyond 64 levels", signText(key, "{}", `{"a":${"[".repeat(64)}${"]".repeat(64)}}`)],
    ["another spelling of the same signature", "e30.e30.AB"],
    ["another spelling of the same header", "e31.e30.AA"],
  ])("%s is refused", (_name, text) => {
    expect(reasonOf(text)).toBe("malformed");
  });

  test("digits in a text are no number", () => {
    expect(reasonOf(signText(key, "{}", `{"sha":"5e123","id":"${"9".repeat(400)}"}`))).toBe(
      "parsed",
    );
  });

  test("whatever is presented, the only failure is a refusal that quotes nothing of it", () => {
    const part = fc.oneof(
      fc.string(),
      fc.json().map((text) => Buffer.from(text).toString("base64url")),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64url")),
    );
    const tokens = fc.array(part, { maxLength: 5 }).map((parts) => parts.join("."));
    fc.assert(
      fc.property(tokens, (text) => {
        try {
          parseCompactJwt(text);
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal);
          expect((error as Refusal).cause).toBeUndefined();
          if (text.length > 40) expect(String(error)).not.toContain(text.slice(0, 40));
        }
      }),
      { numRuns: 500 },
    );
  });
});

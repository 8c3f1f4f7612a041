import { describe, expect, it } from "vitest";
import { parseForm } from "./form.ts";

const TYPE = "application/x-www-form-urlencoded";

describe("a form body", () => {
  it("counts a parameter without a value as absent", () => {
    const form = parseForm(TYPE, "grant_type=&x=1");
    expect(form.one("grant_type")).toBeNull();
    expect(() => form.required("grant_type")).toThrow("grant_type is missing");
  });
  it("ignores what it does not know", () => {
    expect(parseForm(TYPE, "unknown=1&scope=a").one("scope")).toBe("a");
  });
  it.each(["grant_type", "subject_token", "authorization_details"])(
    "refuses %s sent twice",
    (name) => {
      expect(() => parseForm(TYPE, `${name}=a&${name}=b`)).toThrow("more than once");
    },
  );
  it("refuses a parameter sent twice even where one of them is empty", () => {
    expect(() => parseForm(TYPE, "subject_token=a&subject_token=")).toThrow("more than once");
  });
  it("lets resource and audience repeat", () => {
    expect(parseForm(TYPE, "resource=a&resource=b").all("resource")).toEqual(["a", "b"]);
  });
  it.each([
    null,
    "application/json",
    "multipart/form-data",
    `${TYPE}; charset=latin1`,
    `${TYPE}, x`,
  ])("refuses the content type %s", (type) => {
    expect(() => parseForm(type, "a=b")).toThrow("application/x-www-form-urlencoded");
  });
  it.each([TYPE, `${TYPE}; charset=UTF-8`, `${TYPE};charset="utf-8"`, TYPE.toUpperCase()])(
    "takes the content type %s",
    (type) => {
      expect(parseForm(type, "a=b").one("a")).toBe("b");
    },
  );
  it("does not repeat an unprintable name that a stranger chose", () => {
    try {
      parseForm(TYPE, "%1b%5b31m=a&%1b%5b31m=b");
      expect.unreachable();
    } catch (error) {
      expect(error).toHaveProperty("where", "(unprintable)");
    }
  });
});

import { describe, expect, test } from "vitest";
import { claimAt, parseClaimPath } from "./claim-path.ts";

const claims = {
  sub: "s",
  "kubernetes.io": { namespace: "pay", pod: { name: "p" } },
  "https://a/": { account: 1 },
  list: ["a"],
  "~": "tilde",
  empty: null,
};
const at = (text: string): unknown => claimAt(claims, parseClaimPath(text) ?? ["missing"]);

describe("claim path", () => {
  test.each([
    ["sub", "s"],
    ["/sub", "s"],
    ["/kubernetes.io/namespace", "pay"],
    ["/kubernetes.io/pod/name", "p"],
    ["/https:~1~1a~1/account", 1],
    ["/~0", "tilde"],
    ["list", claims.list],
    ["empty", null],
  ])("%s is found", (text, value) => {
    expect(at(text)).toEqual(value);
  });

  test.each(["kubernetes.io.namespace", "list.0", "/list/0", "sub.length", "empty.a", "/nope"])(
    "%s is not there",
    (text) => {
      expect(at(text)).toBeUndefined();
    },
  );

  test.each(["__proto__", "constructor", "toString", "/__proto__/polluted", "sub.constructor"])(
    "%s, which every object inherits, is nobody's claim",
    (text) => {
      expect(at(text)).toBeUndefined();
    },
  );

  test.each(["", "/", "a..b", ".a", "a.", "//a", "/~2", "/a~", "/a/b/c/d/e/f/g/h/i"])(
    "%j is no path",
    (text) => {
      expect(parseClaimPath(text)).toBeNull();
    },
  );
});

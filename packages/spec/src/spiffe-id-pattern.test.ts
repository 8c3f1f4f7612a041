import { describe, expect, test } from "vitest";
import { matchesSpiffeId, parseSpiffeIdPattern } from "./spiffe-id-pattern.ts";
import { parseSpiffeId } from "./spiffe-id.ts";

function matches(pattern: string, text: string): boolean {
  const [parsed, id] = [parseSpiffeIdPattern(pattern), parseSpiffeId(text)];
  if (parsed === null || id === null) throw new Error(`${pattern} or ${text} cannot be read`);
  return matchesSpiffeId(parsed, id);
}

describe("a pattern of SPIFFE IDs", () => {
  test("without a star is one id, to the letter", () => {
    const one = "spiffe://acme.test/client";
    expect(matches(one, one)).toBe(true);
    for (const other of ["/client/1", "/clients", "/Client", "/clien"]) {
      expect(matches(one, `spiffe://acme.test${other}`)).toBe(false);
    }
    expect(matches(one, "spiffe://acme.test.evil/client")).toBe(false);
  });

  test("with a star is all below, by whole segments", () => {
    const below = "spiffe://acme.test/client/*";
    for (const id of ["/client/1", "/client/1/2", "/client/a.b-c_d"]) {
      expect(matches(below, `spiffe://acme.test${id}`)).toBe(true);
    }
    for (const id of ["/client1", "/client", "/client-/1", "/other/client/1"]) {
      expect(matches(below, `spiffe://acme.test${id}`)).toBe(false);
    }
  });

  test("may be all of a trust domain, and is never of another one", () => {
    const all = "spiffe://acme.test/*";
    expect(matches(all, "spiffe://acme.test/x")).toBe(true);
    expect(matches(all, "spiffe://acme.test")).toBe(false);
    expect(matches(all, "spiffe://acme.test.evil/x")).toBe(false);
    expect(matches(all, "spiffe://sub.acme.test/x")).toBe(false);
  });

  test.each([
    "spiffe://acme.test/client*",
    "spiffe://acme.test/*/client",
    "spiffe://acme.test/**",
    "spiffe://*/client",
    "spiffe://acme.test/",
    "spiffe://acme.test",
    "spiffe://acme.test/client/",
    "spiffe://acme.test//*",
    "*",
    "/*",
    "",
  ])("is not %j", (text) => {
    expect(parseSpiffeIdPattern(text)).toBeNull();
  });
});

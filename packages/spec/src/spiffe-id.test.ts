import { describe, expect, test } from "vitest";
import { isTrustDomain, parseSpiffeId } from "./spiffe-id.ts";

describe("SPIFFE ID", () => {
  test.each([
    ["spiffe://acme.test/agent/bot", "acme.test", "/agent/bot"],
    ["spiffe://a-b_c.1/x", "a-b_c.1", "/x"],
    ["spiffe://acme.test/A.b-C_d", "acme.test", "/A.b-C_d"],
    ["spiffe://acme.test/...", "acme.test", "/..."],
    ["spiffe://acme.test", "acme.test", ""],
  ])("%s is one", (id, trustDomain, path) => {
    expect(parseSpiffeId(id)).toEqual({ id, trustDomain, path });
  });

  test.each([
    ["an upper case scheme", "SPIFFE://acme.test/a"],
    ["an upper case trust domain", "spiffe://Acme.test/a"],
    ["another scheme", "https://acme.test/a"],
    ["a port", "spiffe://acme.test:443/a"],
    ["a user", "spiffe://bot@acme.test/a"],
    ["a query", "spiffe://acme.test/a?b"],
    ["an empty query", "spiffe://acme.test/a?"],
    ["a fragment", "spiffe://acme.test/a#b"],
    ["an empty fragment", "spiffe://acme.test/a#"],
    ["percent encoding", "spiffe://acme.test/%61"],
    ["an empty segment", "spiffe://acme.test/a//b"],
    ["a trailing slash", "spiffe://acme.test/a/"],
    ["a slash as its path", "spiffe://acme.test/"],
    ["a dot segment", "spiffe://acme.test/./a"],
    ["a dot-dot segment", "spiffe://acme.test/a/../b"],
    ["a dot-dot segment at the end", "spiffe://acme.test/a/.."],
    ["no trust domain", "spiffe:///a"],
    ["a line break at its end", "spiffe://acme.test/a\n"],
    ["a letter outside ASCII", "spiffe://acme.test/ä"],
    ["2049 bytes", `spiffe://acme.test/${"a".repeat(2049 - 19)}`],
    ["a trust domain of 256 characters", `spiffe://${"a".repeat(256)}/a`],
  ])("%s makes none", (_name, id) => {
    expect(parseSpiffeId(id)).toBeNull();
  });

  test("2048 bytes are allowed", () => {
    expect(parseSpiffeId(`spiffe://acme.test/${"a".repeat(2048 - 19)}`)).not.toBeNull();
  });

  test.each(["acme.test", "a", "a_b-c.1"])("%s is a trust domain", (text) => {
    expect(isTrustDomain(text)).toBe(true);
  });
  test.each(["", "Acme.test", "spiffe://acme.test", "acme.test/", "a:1", "a".repeat(256)])(
    "%j is no trust domain",
    (text) => {
      expect(isTrustDomain(text)).toBe(false);
    },
  );
});

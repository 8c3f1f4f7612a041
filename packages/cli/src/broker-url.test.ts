import { expect, test } from "vitest";
import { runAgainst } from "./__fixtures__/run-against.ts";

test.for(["http://:hunter3@127.0.0.1:1", "http://u:hunter3@127.0.0.1:1", "http://u@127.0.0.1:1"])(
  "a broker's URL with a user or a password is refused, and not said again: %s",
  async (url) => {
    for (const ran of [
      await runAgainst(url, "role list"),
      await runAgainst("http://127.0.0.1:1", `role list --url ${url}`),
    ]) {
      expect([2, 3]).toContain(ran.code);
      expect(ran.out + ran.err).not.toContain("hunter3");
    }
  },
);

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { errorsPage } from "./errors-page.ts";

it("docs/errors.md is the page that the table of error codes gives", () => {
  expect(readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8")).toBe(
    errorsPage(),
  );
});

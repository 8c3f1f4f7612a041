import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { presetsPage } from "./presets-page.ts";

test("docs/identity-presets.md is the presets", () => {
  const page = readFileSync(
    new URL("../../../../docs/identity-presets.md", import.meta.url),
    "utf8",
  );
  expect(page).toBe(presetsPage());
});

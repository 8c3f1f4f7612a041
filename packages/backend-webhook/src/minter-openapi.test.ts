import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { minterOpenApi } from "./minter-openapi.ts";

test("the document of what a minter answers is the one that its answers are parsed by", () => {
  const file = new URL("../../../docs/backends/webhook-minter.openapi.json", import.meta.url);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(minterOpenApi());
});

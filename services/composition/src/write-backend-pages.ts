import { readFileSync, writeFileSync } from "node:fs";
import { backendsPage, withTables } from "./backend-pages.ts";
import { backendTimes } from "./backend-times.ts";
import { BACKEND_TYPES } from "./backend-types.ts";

const folder = new URL("../../../docs/backends/", import.meta.url);
const pages = new Map<string, string>();
for (const type of BACKEND_TYPES) {
  const at = new URL(`${type.type}.md`, folder);
  const page = withTables(readFileSync(at, "utf8"), type);
  pages.set(type.type, page);
  writeFileSync(at, page);
}
const times = backendTimes.parse(
  JSON.parse(readFileSync(new URL("times.json", folder), "utf8")) as unknown,
);
writeFileSync(new URL("README.md", folder), backendsPage(BACKEND_TYPES, pages, times));

import { mkdirSync, writeFileSync } from "node:fs";
import { BACKEND_TYPES } from "./backend-types.ts";
import { fileSchemas } from "./file-schemas.ts";

const folder = new URL("../../../docs/schemas/", import.meta.url);
mkdirSync(folder, { recursive: true });
for (const [name, schema] of fileSchemas(BACKEND_TYPES)) {
  writeFileSync(new URL(name, folder), `${JSON.stringify(schema, null, 2)}\n`);
}

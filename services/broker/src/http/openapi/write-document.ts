import { writeFileSync } from "node:fs";
import { ALL_OPERATIONS } from "../operations/all-operations.ts";
import { API_VERSION, openApiDocument } from "./document.ts";

/** Of `npm run dev`, so that its examples can be sent as they stand. */
const issuer = "http://127.0.0.1:8420";

const document = openApiDocument(ALL_OPERATIONS, { issuer, version: API_VERSION });
writeFileSync(
  new URL("../../../../../docs/openapi.json", import.meta.url),
  `${JSON.stringify(document, null, 2)}\n`,
);

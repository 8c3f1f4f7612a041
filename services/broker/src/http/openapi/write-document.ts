import { writeFileSync } from "node:fs";
import { ALL_OPERATIONS } from "../operations/all-operations.ts";
import { API_VERSION, openApiDocument } from "./document.ts";

/** Of `npm run dev`, so that its examples can be sent as they stand. */
const issuer = "http://127.0.0.1:8420";

const document = openApiDocument(ALL_OPERATIONS, { issuer, version: API_VERSION });

/** A line for each path and each component: what changed is seen, and the file stays small. */
const text = JSON.stringify(document)
  .replaceAll(/"(?:paths|components|schemas|responses)":\{/g, "$&\n")
  .replaceAll(/,("\/[^"]*":\{"(?:get|put|post|patch|delete)":)/g, ",\n$1")
  .replaceAll(/,("[\w-]+":\{"(?:description|type|anyOf|oneOf)":)/g, ",\n$1");
writeFileSync(new URL("../../../../../docs/openapi.json", import.meta.url), `${text}\n`);

import { writeFileSync } from "node:fs";
import { minterOpenApi } from "./minter-openapi.ts";

const page = new URL("../../../docs/backends/webhook-minter.openapi.json", import.meta.url);
writeFileSync(page, `${JSON.stringify(minterOpenApi(), null, 2)}\n`);

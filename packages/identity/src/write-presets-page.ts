import { writeFileSync } from "node:fs";
import { presetsPage } from "./presets/presets-page.ts";

writeFileSync(new URL("../../../docs/identity-presets.md", import.meta.url), presetsPage());

import { writeFileSync } from "node:fs";
import { cliPage } from "./cli-page.ts";
import { processIo } from "./process-io.ts";

const nowhere = processIo({}, () => Promise.reject(new Error("a page asks nobody")));
writeFileSync(new URL("../../../docs/cli.md", import.meta.url), cliPage(nowhere));

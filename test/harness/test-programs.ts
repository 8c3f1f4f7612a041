import { inject } from "vitest";
import type {} from "./bundled-programs.ts";
import type { Programs } from "./service-process.ts";

/** What this run of the tests has bundled; in the projects `paired` and `system` only. */
export const testPrograms = (): Programs => inject("mayflyPrograms");

export type { CorePorts } from "./ports.ts";
export type { CoreSettings } from "./settings.ts";

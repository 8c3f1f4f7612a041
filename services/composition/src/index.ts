export { BACKEND_TYPES } from "./backend-types.ts";
export { composeParts, type Parts, type ProcessOptions } from "./compose.ts";
export { fileSchemas } from "./file-schemas.ts";
export { QUEUE_SCHEMA } from "./queue-config.ts";
export { recentLook } from "./recent-look.ts";
export { runProcess } from "./run-process.ts";
export { serveHealth } from "./serve-health.ts";

/** The credential backend for PostgreSQL. */
export { postgresBackend } from "./postgres-backend.ts";

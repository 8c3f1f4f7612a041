/** The credential backend for Redis and Valkey. */
export { redisBackend } from "./redis-backend.ts";

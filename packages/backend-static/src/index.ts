/** The credential backend of secrets that exist already. */
export { staticBackend } from "./static-backend.ts";

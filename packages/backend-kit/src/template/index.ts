/** The credential backend for Example. */
export { exampleBackend } from "./example-backend.ts";

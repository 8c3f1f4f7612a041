/** The credential backend that signs access tokens for the customer's own APIs. */
export { jwtBackend } from "./jwt-backend.ts";

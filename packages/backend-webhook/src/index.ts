/** The credential backend whose credentials the customer's own minter makes. */
export { webhookBackend } from "./webhook-backend.ts";

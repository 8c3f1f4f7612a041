/** The backend type `vault`: child tokens and engines' credentials of Vault or OpenBao. */
export { vaultBackend } from "./vault-backend.ts";

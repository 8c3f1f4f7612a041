/** The backend type `vault`: child tokens and engines' credentials of HashiCorp Vault or OpenBao. */
export { vaultBackend } from "./vault-backend.ts";

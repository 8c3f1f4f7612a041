import { postgresBackend } from "@mayfly/backend-postgres";
import type { CredentialBackend } from "@mayfly/spec";

/**
 * The backend types that this installation offers: all that a new one touches outside its package
 * is a line here, one in this package's manifest, and what is generated from it.
 */
export const BACKEND_TYPES: readonly CredentialBackend[] = [postgresBackend];

import { UNWATCHED_LIMITS, withLimits, type LimitWatch } from "@mayfly/backend-kit";
import type { CredentialBackend } from "@mayfly/spec";
import { pooledRoles } from "../../packages/backend-kit/src/testing/pooled-roles.ts";
import { backendTypes as ofTheProduct } from "../../services/composition/src/backend-types.ts";

/** The types of the product, and one whose principals are used again. */
export const backendTypes = (watch: LimitWatch): readonly CredentialBackend[] => [
  ...ofTheProduct(watch),
  withLimits(pooledRoles, watch),
];
export const BACKEND_TYPES = backendTypes(UNWATCHED_LIMITS);

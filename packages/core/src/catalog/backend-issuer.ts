import type { BackendId } from "@mayfly/spec";

/** Issuer of a backend's own tokens: below the broker's URL, so that no two share one. */
export const backendIssuer = (broker: string, id: BackendId): string => `${broker}/backends/${id}`;

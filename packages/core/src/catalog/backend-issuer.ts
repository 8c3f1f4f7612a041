import { parseBackendId, type BackendId } from "@mayfly/spec";

/** Issuer of a backend's own tokens: below the broker's URL, so that no two share one. */
export const backendIssuer = (broker: string, id: BackendId): string => `${broker}/backends/${id}`;

/** Whose issuer it is, or null: of no backend that could be registered here. */
export function backendOfIssuer(broker: string, issuer: string): BackendId | null {
  const below = `${broker}/backends/`;
  if (!issuer.startsWith(below)) return null;
  try {
    return parseBackendId(issuer.slice(below.length), "iss");
  } catch {
    return null;
  }
}

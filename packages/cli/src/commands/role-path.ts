import { usageError } from "../cli-error.ts";

/** Where the API has a role: `<backend>/<shape>`, each part one segment of the path. */
export function rolePath(role: string): string {
  const [backend, shape, ...more] = role.split("/");
  if (!backend || !shape || more.length > 0) {
    throw usageError(
      "That is no role.",
      "Give it as <backend>/<shape>, like orders-db/reader.",
      role,
    );
  }
  return `/v1/roles/${encodeURIComponent(backend)}/${encodeURIComponent(shape)}`;
}

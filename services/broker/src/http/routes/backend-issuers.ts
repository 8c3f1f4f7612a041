import type { Hono } from "hono";
import type { Core } from "@mayfly/core";
import {
  BACKEND_KEY_ALGORITHMS,
  BrokerError,
  parseBackendId,
  type BackendId,
  type JsonObject,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import type { Env } from "../request-scope.ts";

/** Far below the hour that a key is published before it signs. */
export const CACHED = { "Cache-Control": "public, max-age=300" } as const;

type TokenIssuer = NonNullable<Awaited<ReturnType<Core["tokenIssuer"]>>>;

/** The keys (RFC 7517) that APIs verify a backend's own tokens with: for anybody. */
export function backendIssuerRoutes(app: Hono<Env>, { core }: AppPorts): void {
  app.get("/backends/:backend/jwks", async (c) => {
    const { keys } = await issuerOf(core, c.req.param("backend"));
    return c.json({ keys }, 200, CACHED);
  });
}

/**
 * RFC 8414 metadata of a backend that signs tokens itself, an issuer below the broker's. They come
 * from the broker's token endpoint, and are asked about at its introspection. Throws `not_found`.
 */
export async function backendMetadata(
  { core, settings }: AppPorts,
  backend: string,
): Promise<JsonObject> {
  const { issuer } = await issuerOf(core, backend);
  const { issuer: broker } = settings;
  return {
    issuer,
    jwks_uri: `${issuer}/jwks`,
    token_endpoint: `${broker}/token`,
    introspection_endpoint: `${broker}/introspect`,
    revocation_endpoint: `${broker}/revoke`,
    access_token_signing_alg_values_supported: BACKEND_KEY_ALGORITHMS,
    // Required by RFC 8414 section 2 even for a server without an authorization endpoint.
    response_types_supported: [],
    service_documentation: `${broker}/docs`,
  };
}

/** Which backends sign is no secret; of all others, and of what is no name, nothing is said. */
async function issuerOf(core: Pick<Core, "tokenIssuer">, backend: string): Promise<TokenIssuer> {
  const id = idOf(backend);
  const found = id === null ? null : await core.tokenIssuer(id);
  if (found !== null) return found;
  throw new BrokerError("not_found", "There is no such issuer of tokens.");
}

function idOf(backend: string): BackendId | null {
  try {
    return parseBackendId(backend, "backend");
  } catch {
    return null;
  }
}

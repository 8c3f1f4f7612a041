import type { Hono } from "hono";
import { BrokerError } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { issuerPath } from "../issuer-path.ts";
import type { Env } from "../request-scope.ts";

const WELL_KNOWN = "/.well-known/oauth-authorization-server";
const CACHED = { "Cache-Control": "public, max-age=300" } as const;

/** RFC 8414 metadata and RFC 7517 keys. */
export function metadataRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { issuer } = ports.settings;
  const metadata = {
    issuer,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    grant_types_supported: ["urn:ietf:params:oauth:grant-type:token-exchange"],
    // The subject token proves the caller; no client authenticates apart from it.
    token_endpoint_auth_methods_supported: ["none"],
    dpop_signing_alg_values_supported: ports.dpop.algorithms,
    authorization_details_types_supported: ["mayfly-task"],
    // Required by RFC 8414 section 2 even for a server without an authorization endpoint.
    response_types_supported: [],
    service_documentation: `${issuer}/docs`,
  };
  // Section 3.1: the well-known part stands before the issuer's path.
  const path = `${WELL_KNOWN}${issuerPath(issuer)}`;
  app.get(`${WELL_KNOWN}/*`, (c) => {
    if (c.req.path === path) return c.json(metadata, 200, CACHED);
    throw new BrokerError("not_found", "This broker is another issuer.");
  });
  app.get("/jwks", async (c) => c.json(await ports.taskTokens.jwks(), 200, CACHED));
}

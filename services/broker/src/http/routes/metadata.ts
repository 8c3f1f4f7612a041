import type { Hono } from "hono";
import type { AppPorts } from "../app.ts";
import type { Env } from "../request-scope.ts";

/** RFC 8414 metadata and RFC 7517 keys. */
export function metadataRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { issuer } = ports.settings;
  const { pathname } = new URL(issuer);
  const metadata = {
    issuer,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    grant_types_supported: ["urn:ietf:params:oauth:grant-type:token-exchange"],
    // The subject token proves the caller; no client authenticates apart from it.
    token_endpoint_auth_methods_supported: ["none"],
    authorization_details_types_supported: ["mayfly-task"],
    // Required by RFC 8414 section 2 even for a server without an authorization endpoint.
    response_types_supported: [],
  };
  // Section 3.1: the well-known part stands before the issuer's path.
  const path = `/.well-known/oauth-authorization-server${pathname === "/" ? "" : pathname}`;
  app.get(path, (c) => c.json(metadata, 200, { "Cache-Control": "public, max-age=300" }));
  app.get("/jwks", (c) =>
    c.json(ports.taskTokens.jwks(), 200, { "Cache-Control": "public, max-age=300" }),
  );
}

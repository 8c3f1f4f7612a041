import type { Context, Hono } from "hono";
import { BrokerError, TOKEN_ALGORITHMS } from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { issuerPath } from "../issuer-path.ts";
import type { Env } from "../request-scope.ts";
import { CLIENT_GRANT, GRANT } from "../schemas/token.ts";
import { AUTHORIZATION_SERVER, PROTECTED_RESOURCE } from "../well-known.ts";
import { backendMetadata, CACHED } from "./backend-issuers.ts";

const TYPES = ["mayfly-task"];
/** How clients authenticate themselves, at each of the three endpoints. */
const CLIENT_METHODS = ["spiffe_jwt", "spiffe_x509", "private_key_jwt", "tls_client_auth"] as const;

/** RFC 8414 metadata, RFC 9728 metadata of our own APIs, and RFC 7517 keys. */
export function metadataRoutes(app: Hono<Env>, ports: AppPorts): void {
  const { issuer, certificateBoundTokens } = ports.settings;
  const algorithms = ports.dpop.algorithms;
  const server = {
    issuer,
    token_endpoint: `${issuer}/token`,
    introspection_endpoint: `${issuer}/introspect`,
    revocation_endpoint: `${issuer}/revoke`,
    jwks_uri: `${issuer}/jwks`,
    grant_types_supported: [GRANT, CLIENT_GRANT],
    // `none`: in an exchange the subject token proves the caller.
    token_endpoint_auth_methods_supported: ["none", ...CLIENT_METHODS],
    token_endpoint_auth_signing_alg_values_supported: TOKEN_ALGORITHMS,
    // RFC 8414 section 2 allows access token types beside the methods.
    introspection_endpoint_auth_methods_supported: [...CLIENT_METHODS, "Bearer", "DPoP"],
    introspection_endpoint_auth_signing_alg_values_supported: TOKEN_ALGORITHMS,
    // `none`: who holds the token may end its task.
    revocation_endpoint_auth_methods_supported: ["none", ...CLIENT_METHODS, "Bearer", "DPoP"],
    revocation_endpoint_auth_signing_alg_values_supported: TOKEN_ALGORITHMS,
    dpop_signing_alg_values_supported: algorithms,
    tls_client_certificate_bound_access_tokens: certificateBoundTokens,
    authorization_details_types_supported: TYPES,
    // Required by RFC 8414 section 2 even for a server without an authorization endpoint.
    response_types_supported: [],
    service_documentation: `${issuer}/docs`,
  };
  const resource = {
    resource: issuer,
    authorization_servers: [issuer],
    bearer_methods_supported: ["header"],
    dpop_signing_alg_values_supported: algorithms,
    tls_client_certificate_bound_access_tokens: certificateBoundTokens,
    authorization_details_types_supported: TYPES,
    resource_documentation: `${issuer}/docs`,
  };
  const serveAt = (wellKnown: string, metadata: typeof server | typeof resource): void => {
    // Section 3.1 of both: the well-known part stands before the issuer's path.
    const path = `${wellKnown}${issuerPath(issuer)}`;
    app.get(`${wellKnown}/*`, async (c: Context<Env>) => {
      if (c.req.path === path) return c.json(metadata, 200, CACHED);
      const [, backend] = c.req.path.split(`${path}/backends/`);
      if (backend !== undefined && wellKnown === AUTHORIZATION_SERVER) {
        return c.json(await backendMetadata(ports, backend), 200, CACHED);
      }
      throw new BrokerError("not_found", "This broker is another issuer.");
    });
  };
  serveAt(AUTHORIZATION_SERVER, server);
  serveAt(PROTECTED_RESOURCE, resource);
  app.get("/jwks", async (c) => c.json(await ports.taskTokens.jwks(), 200, CACHED));
}

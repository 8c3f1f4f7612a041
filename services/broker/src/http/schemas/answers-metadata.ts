import { z } from "zod";

/** What the API answers to anybody. */
export const serverMetadataAnswer = z
  .strictObject({
    issuer: z.string(),
    token_endpoint: z.string(),
    jwks_uri: z.string(),
    grant_types_supported: z.array(z.string()),
    introspection_endpoint: z.string(),
    revocation_endpoint: z.string(),
    token_endpoint_auth_methods_supported: z.array(z.string()),
    token_endpoint_auth_signing_alg_values_supported: z.array(z.string()),
    introspection_endpoint_auth_methods_supported: z.array(z.string()),
    introspection_endpoint_auth_signing_alg_values_supported: z.array(z.string()),
    revocation_endpoint_auth_methods_supported: z.array(z.string()),
    revocation_endpoint_auth_signing_alg_values_supported: z.array(z.string()),
    dpop_signing_alg_values_supported: z.array(z.string()),
    tls_client_certificate_bound_access_tokens: z.boolean(),
    authorization_details_types_supported: z.array(z.string()),
    response_types_supported: z.array(z.string()),
    service_documentation: z.string(),
  })
  .meta({ id: "ServerMetadata", description: "RFC 8414 section 2." });
export const backendMetadataAnswer = z
  .strictObject({
    issuer: z.string(),
    jwks_uri: z.string(),
    token_endpoint: z.string(),
    introspection_endpoint: z.string(),
    revocation_endpoint: z.string(),
    access_token_signing_alg_values_supported: z.array(z.string()),
    response_types_supported: z.array(z.string()),
    service_documentation: z.string(),
  })
  .meta({ id: "BackendMetadata", description: "RFC 8414 section 2, of a backend's own tokens." });
export const resourceMetadataAnswer = z
  .strictObject({
    resource: z.string(),
    authorization_servers: z.array(z.string()),
    bearer_methods_supported: z.array(z.literal("header")),
    dpop_signing_alg_values_supported: z.array(z.string()),
    tls_client_certificate_bound_access_tokens: z.boolean(),
    authorization_details_types_supported: z.array(z.string()),
    resource_documentation: z.string(),
  })
  .meta({ id: "ResourceMetadata", description: "RFC 9728 section 2." });
export const jwksAnswer = z
  .strictObject({ keys: z.array(z.record(z.string(), z.unknown())) })
  .meta({ id: "JsonWebKeySet", description: "RFC 7517." });
export const aliveAnswer = z.strictObject({ status: z.literal("ok") });
export const readinessAnswer = z
  .strictObject({
    status: z.enum(["ready", "not_ready"]),
    checks: z
      .array(
        z.strictObject({
          name: z.string(),
          ok: z.boolean(),
          required: z.boolean(),
          detail: z.string(),
        }),
      )
      .optional()
      .meta({ description: "For an administrator alone." }),
  })
  .meta({ id: "Readiness" });
export const fileSchemasAnswer = z.strictObject({ items: z.array(z.string()) });

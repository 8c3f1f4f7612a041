import { z } from "zod";
import { empty, json, text, type Operation } from "../openapi/operation.ts";
import {
  aliveAnswer,
  backendMetadataAnswer,
  fileSchemasAnswer,
  jwksAnswer,
  readinessAnswer,
  resourceMetadataAnswer,
  serverMetadataAnswer,
} from "../schemas/answers-metadata.ts";
import { nameShape, objectShape } from "../schemas/shapes.ts";

const UNCHANGED = empty("What you have, by its ETag, is still so.");
const by = { method: "get", tag: "metadata", caller: "anyone" } as const;

export const METADATA_OPERATIONS: readonly Operation[] = [
  {
    ...by,
    path: "/.well-known/oauth-authorization-server/*",
    id: "serverMetadata",
    summary: "Where the token endpoint is and what it offers",
    description:
      "The issuer's path, if it has one, stands at the end (RFC 8414 section 3.1); with " +
      "`/backends/` and its name behind it, the issuer is a backend that signs tokens itself.",
    answers: {
      200: json("The metadata.", z.union([serverMetadataAnswer, backendMetadataAnswer])),
    },
    errors: ["not_found", "ledger_unavailable"],
  },
  {
    ...by,
    path: "/.well-known/oauth-protected-resource/*",
    id: "resourceMetadata",
    summary: "Whose tokens our own APIs take, and how they are sent",
    description:
      "A 401 names it as `resource_metadata`. The issuer's path stands at the end (RFC 9728 " +
      "section 3.1).",
    answers: { 200: json("The metadata.", resourceMetadataAnswer) },
    errors: ["not_found"],
  },
  {
    ...by,
    path: "/jwks",
    id: "signingKeys",
    summary: "The keys that sign task tokens",
    answers: { 200: json("The public keys.", jwksAnswer) },
    errors: ["ledger_unavailable"],
  },
  {
    ...by,
    path: "/backends/:backend/jwks",
    id: "backendSigningKeys",
    summary: "The keys that a backend signs its own tokens with",
    params: { backend: nameShape("backend") },
    answers: { 200: json("The public keys.", jwksAnswer) },
    errors: ["not_found", "ledger_unavailable"],
  },
  {
    ...by,
    path: "/backends/:backend/authority/:document",
    id: "backendAuthority",
    summary: "What verifies a backend's certificates: its authority, and what was revoked",
    description:
      "Which documents there are, and of which media type, is in the page of the backend's type.",
    params: { backend: nameShape("backend"), document: z.string() },
    answers: { 200: text("The document.", "application/octet-stream") },
    errors: ["not_found", "busy", "ledger_unavailable", "backend_unavailable"],
  },
  {
    ...by,
    path: "/schemas",
    id: "listFileSchemas",
    summary: "The JSON Schemas of a platform team's files",
    answers: { 200: json("Their names.", fileSchemasAnswer) },
  },
  {
    ...by,
    path: "/schemas/",
    id: "listFileSchemasBelow",
    summary: "The same, where a schema's name was taken off its address",
    answers: { 200: json("Their names.", fileSchemasAnswer) },
  },
  {
    ...by,
    path: "/schemas/:name",
    id: "fileSchema",
    summary: "One of these schemas",
    params: { name: z.string() },
    answers: { 200: json("The schema.", objectShape) },
    errors: ["not_found"],
  },
  {
    ...by,
    path: "/openapi.json",
    id: "openApiDocument",
    summary: "This reference as an OpenAPI 3.1 document",
    answers: { 200: json("The document.", objectShape), 304: UNCHANGED },
  },
  {
    ...by,
    path: "/docs",
    id: "reference",
    summary: "This reference as a page",
    answers: { 200: text("The page.", "text/html"), 304: UNCHANGED },
  },
  {
    ...by,
    path: "/errors",
    id: "errors",
    summary: "All error codes as a page",
    answers: { 200: text("The page.", "text/html"), 304: UNCHANGED },
  },
  {
    ...by,
    path: "/errors/:code",
    id: "errorPage",
    summary: "What an error code means and what to do",
    description: "The `type` of each problem leads here.",
    params: { code: z.string() },
    answers: { 200: text("The page.", "text/html") },
    errors: ["not_found"],
  },
  {
    ...by,
    path: "/healthz",
    id: "alive",
    summary: "Whether the process runs",
    answers: { 200: json("It runs.", aliveAnswer) },
  },
  {
    ...by,
    path: "/readyz",
    id: "ready",
    summary: "Whether requests should come here",
    description: "With an administrator's token, the answer says what holds and what does not.",
    answers: {
      200: json("They should.", readinessAnswer),
      503: json("They should not, now.", readinessAnswer),
    },
    errors: [
      "unauthenticated",
      "invalid_identity",
      "invalid_dpop_proof",
      "use_dpop_nonce",
      "ledger_unavailable",
      "backend_unavailable",
    ],
  },
];

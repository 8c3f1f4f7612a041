import { json, jsonBody, type Operation } from "../openapi/operation.ts";
import { nameShape } from "../schemas/shapes.ts";
import { nothingSchema } from "../schemas/administration.ts";
import {
  kidShape,
  resealAnswer,
  resealSchema,
  retiredAnswer,
  retiredBackendKeyAnswer,
  rotatedAnswer,
  sealingAnswer,
  signingKeysAnswer,
} from "../schemas/keys.ts";

const by = { tag: "administration", caller: "administrator" } as const;

export const KEY_OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/sealing",
    id: "readSealing",
    ...by,
    summary: "Count what is sealed under which key",
    answers: { 200: json("The ring of this broker, and the counts.", sealingAnswer) },
  },
  {
    method: "post",
    path: "/v1/sealing/reseal",
    id: "reseal",
    ...by,
    summary: "Move one batch of sealed values to the current key",
    description: "Call it again with `next` until that is null.",
    body: jsonBody(resealSchema),
    answers: { 200: json("What was moved.", resealAnswer) },
  },
  {
    method: "get",
    path: "/v1/signing-keys",
    id: "listSigningKeys",
    ...by,
    summary: "List the keys of task tokens",
    answers: { 200: json("The keys, newest first.", signingKeysAnswer) },
  },
  {
    method: "post",
    path: "/v1/signing-keys/rotate",
    id: "rotateSigningKey",
    ...by,
    summary: "Publish the next signing key before it is due",
    description: "No valid token is refused: the old key verifies until its last token is over.",
    body: jsonBody(nothingSchema),
    answers: { 200: json("The next key.", rotatedAnswer) },
  },
  {
    method: "post",
    path: "/v1/signing-keys/:kid/retire",
    id: "retireSigningKey",
    ...by,
    summary: "Stop trusting a signing key that leaked",
    description:
      "Another key signs at once. Within 5 seconds no broker takes a token of the old one.",
    params: { kid: kidShape },
    body: jsonBody(nothingSchema),
    answers: { 200: json("What became of it.", retiredAnswer) },
    errors: ["not_found"],
  },
  {
    method: "get",
    path: "/v1/backends/:backend/signing-keys",
    id: "listBackendSigningKeys",
    ...by,
    summary: "List the keys that a backend signs its own tokens with",
    params: { backend: nameShape("backend") },
    answers: { 200: json("The keys, newest first.", signingKeysAnswer) },
    errors: ["not_found"],
  },
  {
    method: "post",
    path: "/v1/backends/:backend/signing-keys/rotate",
    id: "rotateBackendSigningKey",
    ...by,
    summary: "Publish a backend's next signing key before it is due",
    description: "No valid token is refused: the old key verifies until its last token is over.",
    params: { backend: nameShape("backend") },
    body: jsonBody(nothingSchema),
    answers: { 200: json("The next key.", rotatedAnswer) },
    errors: ["not_found"],
  },
  {
    method: "post",
    path: "/v1/backends/:backend/signing-keys/:kid/retire",
    id: "retireBackendSigningKey",
    ...by,
    summary: "Stop trusting a backend's signing key that leaked",
    description:
      "Another key signs at once. Within 5 seconds introspection takes no token of the old one; an " +
      "API that verifies by itself refuses them as soon as it fetches the keys anew.",
    params: { backend: nameShape("backend"), kid: kidShape },
    body: jsonBody(nothingSchema),
    answers: { 200: json("What became of it.", retiredBackendKeyAnswer) },
    errors: ["not_found"],
  },
];

import { empty, json, jsonBody, type Operation } from "../openapi/operation.ts";
import { nothingSchema } from "../schemas/administration.ts";
import {
  resourceServerAnswer,
  resourceServerPutAnswer,
  resourceServersAnswer,
  resourceServerSchema,
  resourceServerSwitchAnswer,
} from "../schemas/resource-servers.ts";
import { nameShape } from "../schemas/shapes.ts";
import { PRECONDITION } from "./precondition-headers.ts";

const by = { tag: "administration", caller: "administrator" } as const;
const list = "/v1/resource-servers";
const one = { path: `${list}/:name`, params: { name: nameShape("resourceServer") } };

export const RESOURCE_SERVER_OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: list,
    id: "listResourceServers",
    ...by,
    summary: "List the servers that may introspect tokens",
    answers: { 200: json("All that the caller may read.", resourceServersAnswer) },
  },
  {
    method: "get",
    ...one,
    id: "showResourceServer",
    ...by,
    summary: "Show a resource server",
    answers: { 200: json("The server; its ETag.", resourceServerAnswer) },
    errors: ["not_found"],
  },
  {
    method: "put",
    ...one,
    id: "putResourceServer",
    ...by,
    summary: "Register or change a resource server",
    description:
      "It may introspect from then on, and nothing else. A trust root has to vouch for its " +
      "identities; one of administrators it need not be.",
    headers: PRECONDITION,
    body: jsonBody(resourceServerSchema),
    answers: {
      200: json("It was there; `result` says whether it changed.", resourceServerPutAnswer),
      201: json("It was not there before.", resourceServerPutAnswer),
    },
    errors: ["conflict", "precondition_failed"],
  },
  ...(["enable", "disable"] as const).map((verb): Operation => ({
    method: "post",
    path: `${one.path}/${verb}`,
    params: one.params,
    id: `${verb}ResourceServer`,
    ...by,
    summary:
      verb === "enable" ? "Let a resource server introspect again" : "Tell it nothing any more",
    headers: PRECONDITION,
    body: jsonBody(nothingSchema),
    answers: { 200: json("What it is now.", resourceServerSwitchAnswer) },
    errors: ["not_found", "precondition_failed"],
  })),
  {
    method: "delete",
    ...one,
    id: "deleteResourceServer",
    ...by,
    summary: "Delete a resource server",
    headers: PRECONDITION,
    answers: { 204: empty("It is gone.") },
    errors: ["not_found", "conflict", "precondition_failed"],
  },
];

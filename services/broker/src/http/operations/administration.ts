import { empty, json, jsonBody, type Operation } from "../openapi/operation.ts";
import {
  backendSchema,
  nothingSchema,
  policiesSchema,
  roleSchema,
  trustSchema,
} from "../schemas/administration.ts";
import {
  backendAnswer,
  backendPutAnswer,
  backendsAnswer,
  backendSwitchAnswer,
  checkAnswer,
  planAnswer,
  policiesAnswer,
  policiesPutAnswer,
  rolePutAnswer,
  rolesAnswer,
  trustListAnswer,
  trustPutAnswer,
} from "../schemas/answers-administration.ts";
import { planSchema } from "../schemas/plan.ts";
import { nameShape, roleOwnNameShape } from "../schemas/shapes.ts";

const backendPath = { path: "/v1/backends/:backend", params: { backend: nameShape("backend") } };
const rolePath = {
  path: "/v1/roles/:backend/:shape",
  params: { backend: nameShape("backend"), shape: roleOwnNameShape },
};
const trustPath = { path: "/v1/trust/:name", params: { name: nameShape("trust") } };
const by = { tag: "administration", caller: "administrator" } as const;

const BACKENDS: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/backends",
    id: "listBackends",
    ...by,
    summary: "List backends",
    answers: { 200: json("All that are registered.", backendsAnswer) },
  },
  {
    method: "get",
    ...backendPath,
    id: "showBackend",
    ...by,
    summary: "Show a backend",
    answers: { 200: json("The backend, without secrets.", backendAnswer) },
    errors: ["not_found"],
  },
  {
    method: "put",
    ...backendPath,
    id: "putBackend",
    ...by,
    summary: "Register or change a backend",
    description:
      "Checks first that the backend allows all that Mayfly needs. What is already registered so " +
      "changes nothing.",
    body: jsonBody(backendSchema),
    answers: {
      200: json("It was there; `result` says whether it changed.", backendPutAnswer),
      201: json("It was not there before.", backendPutAnswer),
    },
    errors: ["conflict", "config_invalid", "check_failed", "backend_rejected"],
  },
  {
    method: "post",
    path: `${backendPath.path}/test`,
    params: backendPath.params,
    id: "testBackend",
    ...by,
    summary: "Check a backend as registering does",
    body: jsonBody(nothingSchema),
    answers: { 200: json("What was found.", checkAnswer) },
    errors: ["not_found", "backend_rejected"],
  },
  ...(["enable", "disable"] as const).map((verb): Operation => ({
    method: "post",
    path: `${backendPath.path}/${verb}`,
    params: backendPath.params,
    id: `${verb}Backend`,
    ...by,
    summary: verb === "enable" ? "Let a backend issue again" : "Stop a backend's issuing",
    description: "Ending goes on either way.",
    body: jsonBody(nothingSchema),
    answers: { 200: json("What it is now.", backendSwitchAnswer) },
    errors: ["not_found"],
  })),
  {
    method: "delete",
    ...backendPath,
    id: "deleteBackend",
    ...by,
    summary: "Delete a backend that has neither live leases nor roles",
    answers: { 204: empty("It is gone.") },
    errors: ["not_found", "conflict"],
  },
];

const ROLES: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/roles",
    id: "listRoles",
    ...by,
    summary: "List roles",
    answers: { 200: json("All that are registered.", rolesAnswer) },
  },
  {
    method: "put",
    ...rolePath,
    id: "putRole",
    ...by,
    summary: "Register or change a role",
    body: jsonBody(roleSchema),
    answers: {
      200: json("It was there; `result` says whether it changed.", rolePutAnswer),
      201: json("It was not there before.", rolePutAnswer),
    },
    errors: ["not_found", "config_invalid", "check_failed", "backend_rejected", "conflict"],
  },
  {
    method: "delete",
    ...rolePath,
    id: "deleteRole",
    ...by,
    summary: "Delete a role",
    answers: { 204: empty("It is gone.") },
    errors: ["not_found", "conflict"],
  },
];

const TRUST_AND_POLICIES: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/trust",
    id: "listTrust",
    ...by,
    summary: "List trust roots",
    answers: { 200: json("All that are registered.", trustListAnswer) },
  },
  {
    method: "put",
    ...trustPath,
    id: "putTrust",
    ...by,
    summary: "Register or change a trust root",
    body: jsonBody(trustSchema),
    answers: {
      200: json("It was there; `result` says whether it changed.", trustPutAnswer),
      201: json("It was not there before.", trustPutAnswer),
    },
    errors: ["conflict", "config_invalid"],
  },
  {
    method: "delete",
    ...trustPath,
    id: "deleteTrust",
    ...by,
    summary: "Delete a trust root",
    answers: { 204: empty("It is gone.") },
    errors: ["not_found", "conflict"],
  },
  {
    method: "get",
    path: "/v1/policies",
    id: "showPolicies",
    ...by,
    summary: "Show the policies in force",
    answers: { 200: json("The set and its digest; null before the first.", policiesAnswer) },
  },
  {
    method: "put",
    path: "/v1/policies",
    id: "putPolicies",
    ...by,
    summary: "Put a set of policies in force",
    body: jsonBody(policiesSchema),
    answers: { 200: json("Whether it changed, and its digest.", policiesPutAnswer) },
    errors: ["conflict", "config_invalid"],
  },
  {
    method: "post",
    path: "/v1/plan",
    id: "plan",
    ...by,
    summary: "Say what registering would change",
    description: "Makes the checks of registering, and writes nothing.",
    body: jsonBody(planSchema),
    answers: { 200: json("Each object, and what would become of it.", planAnswer) },
    errors: ["backend_rejected"],
  },
];

export const ADMINISTRATION_OPERATIONS: readonly Operation[] = [
  ...BACKENDS,
  ...ROLES,
  ...TRUST_AND_POLICIES,
];

import { z } from "zod";
import { json, type Operation } from "../openapi/operation.ts";
import { backendTypeAnswer, backendTypesAnswer } from "../schemas/answers-administration.ts";

const by = { tag: "administration", caller: "administrator" } as const;

export const BACKEND_TYPE_OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/backend-types",
    id: "listBackendTypes",
    ...by,
    summary: "List the types that are installed",
    answers: { 200: json("Their names.", backendTypesAnswer) },
  },
  {
    method: "get",
    path: "/v1/backend-types/:type",
    params: { type: z.string() },
    id: "showBackendType",
    ...by,
    summary: "What a type's configuration, roles and requests may say, and what it needs upstream",
    answers: { 200: json("The type.", backendTypeAnswer) },
    errors: ["not_found"],
  },
];

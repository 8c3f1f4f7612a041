import type { z } from "zod";
import type { ErrorCode } from "@mayfly/spec";

/** The groups of the reference page, in its order. */
export const TAGS = {
  exchange: "Credentials for a task, by RFC 8693 token exchange.",
  tasks: "Read tasks, keep them alive, end them.",
  leases: "The life of each credential.",
  ledger: "What happened, and the proof that nothing was changed since.",
  security: "What security teams ask, and how they end what they find.",
  administration: "Backends, roles, trust and policies.",
  metadata: "What clients and probes read without a credential.",
} as const;
export type Tag = keyof typeof TAGS;

/**
 * One route as it is documented: the schemas that parse its requests, and those that its views are
 * checked against. `documented.test.ts` compares these with the routes of the running application,
 * and the bench of the tests compares each answer.
 */
export interface Operation {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** As the router has it: `/v1/tasks/:id`. */
  readonly path: string;
  /** The document's operationId: a function's name in generated clients. */
  readonly id: string;
  readonly tag: Tag;
  /** One short line, without a full stop. */
  readonly summary: string;
  readonly description?: string;
  /** Who may call; the common refusals of authentication follow from it. */
  readonly caller: Caller;
  /** A schema for each `:name` of the path. */
  readonly params?: Readonly<Record<string, z.ZodType>>;
  readonly query?: ObjectSchema;
  readonly headers?: readonly RequestHeader[];
  readonly body?: RequestBody;
  /** Answers that are no refusal, by status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Codes beyond those that every route of this shape can answer. */
  readonly errors?: readonly ErrorCode[];
}

type ObjectSchema = z.ZodObject<Readonly<Record<string, z.ZodType>>>;

/**
 * `subject`: the subject token of the form, no Authorization header. `client`: that header or a
 * client's assertion in the form.
 */
export type Caller = "anyone" | "administrator" | "owner" | "subject" | "client";

export interface RequestHeader {
  readonly name: string;
  readonly description: string;
  readonly schema: z.ZodType;
}
export type RequestBody =
  | { readonly kind: "json"; readonly schema: z.ZodType }
  | { readonly kind: "form"; readonly schema: ObjectSchema };

export type Answer =
  | { readonly kind: "json"; readonly what: string; readonly schema: z.ZodType }
  | { readonly kind: "text"; readonly what: string; readonly mediaType: string }
  | { readonly kind: "empty"; readonly what: string };

export const json = (what: string, schema: z.ZodType): Answer => ({ kind: "json", what, schema });
export const text = (what: string, mediaType: string): Answer => ({
  kind: "text",
  what,
  mediaType,
});
export const empty = (what: string): Answer => ({ kind: "empty", what });

export const jsonBody = (schema: z.ZodType): RequestBody => ({ kind: "json", schema });

/** How the route is named in messages, and found: `GET /v1/tasks/:id`. */
export const routeName = ({ method, path }: Pick<Operation, "method" | "path">): string =>
  `${method.toUpperCase()} ${path}`;

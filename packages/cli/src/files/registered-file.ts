import { z } from "zod";
import { configError } from "../cli-error.ts";
import { readYamlFile, type YamlDocument } from "./yaml-file.ts";

const member = z.json();

/** `backends/*.yaml`: what `backend put` reads. */
export const backendFile = z.strictObject({
  backend: z.string(),
  type: z.string(),
  config: z.record(z.string(), member),
  enabled: z.boolean().optional(),
});
/** `roles/*.yaml`: beside these members stand those of the backend's type. */
export const roleFile = z.looseObject({
  role: z.string().regex(/^[^/]+\/[^/]+$/, "expected a role name like orders-db/reader"),
});
/** `trust/*.yaml` */
export const trustFile = z.strictObject({
  trust: z.string(),
  kind: z.enum(["oidc", "spiffe", "x509"]),
  config: z.record(z.string(), member),
  enabled: z.boolean().optional(),
});

/** `resource-servers/*.yaml` */
export const resourceServerFile = z.strictObject({
  resource_server: z.string(),
  description: z.string().optional(),
  identities: z.array(z.record(z.string(), member)),
  audiences: z.array(z.string()).optional(),
  task_tokens: z.union([z.literal("all"), z.array(z.string())]).optional(),
  enabled: z.boolean().optional(),
});

export interface RegisteredObject<T> {
  readonly object: T;
  readonly document: YamlDocument;
}

/** The objects of a YAML file, one per document. Strict: an error names member and line. */
export function readRegisteredFile<T>(
  path: string,
  shape: z.ZodType<T>,
): readonly RegisteredObject<T>[] {
  const documents = readYamlFile(path).filter((document) => document.value !== null);
  if (documents.length === 0) throw configError("The file holds no object.", path);
  return documents.map((document) => {
    const parsed = shape.safeParse(document.value, { error: missingText });
    if (parsed.success) return { object: parsed.data, document };
    const [issue] = parsed.error.issues;
    const unknown = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
    const at = [...(issue?.path ?? []), ...unknown].map((part) =>
      typeof part === "number" ? part : String(part),
    );
    const what = unknown.length > 0 ? "unknown key; leave it out" : issue?.message;
    const name = at.length === 0 ? "" : `${at.join(".")}: `;
    throw configError(`${name}${what ?? "not acceptable"}`, document.placeOf(at));
  });
}

/** The library's words speak of `undefined`; whoever wrote the file left a key out. */
const missingText = (issue: z.core.$ZodRawIssue): string | undefined => {
  if (issue.input !== undefined) return undefined;
  if (issue.code === "invalid_value") return `is missing; one of ${issue.values.join(", ")}`;
  return issue.code === "invalid_type" ? "is missing" : undefined;
};

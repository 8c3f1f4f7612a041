import { z } from "zod";
import type { JsonObject } from "@mayfly/spec";
import type { BrokerApi } from "../api/broker-api.ts";
import { CliError, configError } from "../cli-error.ts";
import {
  backendFile,
  readRegisteredFile,
  resourceServerFile,
  roleFile,
  trustFile,
} from "../files/registered-file.ts";
import { referencesOf, resolveReferences } from "../files/secret-references.ts";
import type { YamlDocument } from "../files/yaml-file.ts";
import type { Io } from "../io.ts";
import type { ApplyFiles } from "./find-apply-files.ts";

/** One object that a file describes. */
export interface DesiredObject {
  readonly kind: "trust" | "backend" | "role" | "resource_server";
  readonly name: string;
  /** As its file says it, secrets still by reference. */
  readonly members: JsonObject;
  readonly document: YamlDocument;
  /** Where it stands. */
  readonly place: string;
  /** Paths below `config`, and where their text comes from: `env:NAME`. */
  readonly references: ReadonlyMap<string, string>;
}

const members = z.record(z.string(), z.json());
const NO_REFERENCES: ReadonlyMap<string, string> = new Map();

/** What the files describe, in their order. The same object twice is an error that names both. */
export function readDesired({ paths }: ApplyFiles): readonly DesiredObject[] {
  const trust = paths.trust.flatMap((path) =>
    readRegisteredFile(path, trustFile).map(({ object, document }) =>
      desired("trust", object.trust, object, document),
    ),
  );
  const backends = paths.backend.flatMap((path) =>
    readRegisteredFile(path, backendFile).map(({ object, document }) => ({
      ...desired("backend", object.backend, object, document),
      references: referencesOf(object.config),
    })),
  );
  const roles = paths.role.flatMap((path) =>
    readRegisteredFile(path, roleFile).map(({ object, document }) =>
      desired("role", object.role, object, document),
    ),
  );
  const servers = paths.resource_server.flatMap((path) =>
    readRegisteredFile(path, resourceServerFile).map(({ object, document }) =>
      desired("resource_server", object.resource_server, object, document),
    ),
  );
  const all = [...trust, ...backends, ...roles, ...servers];
  refuseTwice(all);
  return all;
}

const desired = (
  kind: DesiredObject["kind"],
  name: string,
  object: unknown,
  document: YamlDocument,
): DesiredObject => ({
  kind,
  name,
  members: members.parse(object),
  document,
  place: document.placeOf([kind]),
  references: NO_REFERENCES,
});

function refuseTwice(objects: readonly DesiredObject[]): void {
  const places = new Map<string, string>();
  for (const { kind, name, place } of objects) {
    const first = places.get(`${kind} ${name}`);
    if (first !== undefined) {
      const todo = `Leave one of them out; the other stands at ${first}.`;
      throw configError(`${kind} ${name} is described twice.`, place, todo);
    }
    places.set(`${kind} ${name}`, place);
  }
}

const ROOT_ONLY = z.looseObject({ properties: z.looseObject({ config: z.unknown() }) });

/**
 * Refuses a secret that stands in a file as it is. Which members are secrets is the broker's to
 * say: its schema of the type marks them `writeOnly`.
 */
export async function refuseLiterals(
  api: Pick<BrokerApi, "get">,
  backends: readonly DesiredObject[],
): Promise<void> {
  const types = new Map<string, unknown>();
  for (const { members: file, document } of backends) {
    const type = z.string().parse(file["type"]);
    if (!types.has(type)) types.set(type, await configSchema(api, type));
    for (const path of secretPaths(types.get(type), ["config"])) {
      const value = at(file, path);
      if (value === undefined || referencesOf({ it: value }).has("it")) continue;
      throw configError(
        `${path.join(".")}: a secret stands in the file as it is.`,
        document.placeOf(path),
        "Write { from: env:NAME }, { from: file:PATH } or { from: stdin }, and replace this secret.",
      );
    }
  }
}

/** Null: the broker knows no such type, which its plan says better. */
async function configSchema(api: Pick<BrokerApi, "get">, type: string): Promise<unknown> {
  try {
    const answer = await api.get(`/schemas/backend.${encodeURIComponent(type)}.json`);
    const schema = ROOT_ONLY.safeParse(answer);
    return schema.success ? schema.data.properties.config : null;
  } catch (error) {
    if (error instanceof CliError && error.parts.code === "not_found") return null;
    throw error;
  }
}

const schemaShape = z.looseObject({
  writeOnly: z.boolean().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  anyOf: z.array(z.unknown()).optional(),
  oneOf: z.array(z.unknown()).optional(),
});

/** Secrets in lists are not told from others: no type has them. */
function secretPaths(schema: unknown, path: readonly string[]): readonly (readonly string[])[] {
  const parsed = schemaShape.safeParse(schema);
  if (!parsed.success) return [];
  if (parsed.data.writeOnly === true) return [path];
  const { properties = {}, anyOf = [], oneOf = [] } = parsed.data;
  return [
    ...Object.entries(properties).flatMap(([name, member]) => secretPaths(member, [...path, name])),
    ...[...anyOf, ...oneOf].flatMap((branch) => secretPaths(branch, path)),
  ];
}

function at(value: unknown, path: readonly string[]): JsonObject[string] | undefined {
  let found: unknown = value;
  for (const name of path) {
    const here = members.safeParse(found);
    if (!here.success) return undefined;
    found = here.data[name];
  }
  const json = z.json().safeParse(found);
  return json.success ? json.data : undefined;
}

/** The objects with the text of their references. Standard input can be taken once. */
export async function resolveDesired(
  objects: readonly DesiredObject[],
  io: Pick<Io, "environment" | "readInput">,
): Promise<ReadonlyMap<DesiredObject, JsonObject>> {
  const fromInput = objects.flatMap(({ references, document }) =>
    [...references]
      .filter(([, from]) => from === "stdin")
      .map(([path]) => document.placeOf(["config", ...path.split(".")])),
  );
  const [first, second] = fromInput;
  if (first !== undefined && second !== undefined) {
    const what = "Standard input is named for more than one secret.";
    throw configError(what, second, `Only one can come from there; the other is at ${first}.`);
  }
  const resolved = new Map<DesiredObject, JsonObject>();
  for (const each of objects) {
    const config = members.safeParse(each.members["config"]);
    if (each.kind !== "backend" || !config.success) {
      resolved.set(each, each.members);
      continue;
    }
    const clear = await resolveReferences(config.data, each.document, io);
    resolved.set(each, { ...each.members, config: clear });
  }
  return resolved;
}

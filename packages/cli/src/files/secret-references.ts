import { z } from "zod";
import type { Json, JsonObject } from "@mayfly/spec";
import { CliError, configError } from "../cli-error.ts";
import type { Io } from "../io.ts";
import { readTextFile } from "./yaml-file.ts";
import type { YamlDocument } from "./yaml-file.ts";

const reference = z.strictObject({ from: z.string() });

/**
 * A configuration with each `{ from: env:NAME | file:PATH | stdin }` replaced by what it names, so
 * that no file holds a secret. One line break at the end of a file or of standard input is cut.
 */
export async function resolveReferences(
  config: JsonObject,
  document: YamlDocument,
  io: Pick<Io, "environment" | "readInput">,
): Promise<JsonObject> {
  const resolve = async (value: Json, path: readonly (string | number)[]): Promise<Json> => {
    const found = reference.safeParse(value);
    if (found.success) {
      return readReference(found.data.from, document.placeOf(["config", ...path]), io);
    }
    if (isList(value)) {
      const items: Json[] = [];
      for (const [at, item] of value.entries()) items.push(await resolve(item, [...path, at]));
      return items;
    }
    if (typeof value !== "object" || value === null) return value;
    return resolveMembers(value, path);
  };
  const resolveMembers = async (
    object: JsonObject,
    path: readonly (string | number)[],
  ): Promise<JsonObject> => {
    const members: [string, Json][] = [];
    for (const [name, value] of Object.entries(object)) {
      members.push([name, await resolve(value, [...path, name])]);
    }
    return Object.fromEntries(members);
  };
  return resolveMembers(config, []);
}

/** Where each reference stands below the configuration, and what it names: `password`, `env:X`. */
export function referencesOf(config: JsonObject): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const look = (value: Json, path: string): void => {
    const parsed = reference.safeParse(value);
    if (parsed.success) {
      found.set(path, parsed.data.from);
      return;
    }
    if (typeof value !== "object" || value === null) return;
    for (const [name, member] of Object.entries(value)) {
      look(member, path === "" ? name : `${path}.${name}`);
    }
  };
  for (const [name, member] of Object.entries(config)) look(member, name);
  return found;
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

/** The text that a reference names; `place` is where the reference stands. */
export async function readReference(
  from: string,
  place: string,
  io: Pick<Io, "environment" | "readInput">,
): Promise<string> {
  const [, kind, name = ""] = /^(env|file):(.+)$/s.exec(from) ?? [];
  if (kind === "env") {
    const value = io.environment[name];
    if (value !== undefined && value !== "") return value;
    throw configError(
      USUAL_NAME.test(name)
        ? `The environment variable ${name} is not set.`
        : "The environment variable that is named here is not set, and its name is no usual one.",
      place,
      "Set it and try again. A name is like ORDERS_DB_PASSWORD; the secret itself stands nowhere here.",
    );
  }
  if (kind === "file") return readSecretFile(name, place);
  if (from === "stdin") return (await io.readInput()).replace(/\r?\n$/, "");
  throw configError(
    "A secret comes from a place that is not known.",
    place,
    "Write { from: env:NAME }, { from: file:PATH } or { from: stdin }.",
  );
}

/** What is named otherwise may be the secret itself, written there by mistake: it is not shown. */
const USUAL_NAME = /^[A-Z][A-Z0-9_]*$/;

/** Errors name where the path stands and not the path, for the same reason. */
function readSecretFile(path: string, place: string): string {
  try {
    return readTextFile(path).replace(/\r?\n$/, "");
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw configError(
      `A secret's file: ${error.parts.what}`,
      place,
      "Check the path that stands there.",
    );
  }
}

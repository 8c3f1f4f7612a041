import { z } from "zod";
import type { Json } from "@mayfly/spec";
import { usageError } from "../cli-error.ts";

/** What the command line says of one place of a configuration. */
export type Given =
  | { readonly kind: "text"; readonly text: string }
  /** Of a text that is JSON: what it is, is known. */
  | { readonly kind: "value"; readonly value: null | boolean | number | string }
  /** Where the text is, as files say it: `env:NAME` or `file:PATH`. */
  | { readonly kind: "from"; readonly from: string }
  /** `list`: its names are places in a list, all of them from 0 on, in their order. */
  | {
      readonly kind: "below";
      readonly list: boolean;
      readonly members: ReadonlyMap<string, Given>;
    };

/** The flags that give answers ahead. */
export interface AnswerFlags {
  readonly set: readonly string[];
  readonly setFile: readonly string[];
  readonly fromEnv: readonly string[];
}

const PATH = /^[^.[\]=]+(?:\.[^.[\]=]+|\[\d{1,4}\])*$/;
const FLAGS_MAX = 1_000;

/** All flags as one tree. Throws where two say something of the same place. */
export function readGivenAnswers({ set, setFile, fromEnv }: AnswerFlags): Given {
  const all = [
    ...set.map((text) => readFlag("--set", "value", text)),
    ...setFile.map((text) => readFlag("--set-file", "FILE", text)),
    ...fromEnv.map((text) => readFlag("--from-env", "VAR", text)),
  ];
  if (all.length > FLAGS_MAX) throw usageError("There are too many answers.", "Use a file.");
  const root: Branch = { list: false, members: new Map() };
  for (const { path, given } of all) put(root, path, given);
  return givenOf(root, "");
}

interface Flag {
  readonly path: string;
  readonly given: Given;
}

/** The value is not repeated in an error: it may be a secret, put there by mistake. */
function readFlag(flag: string, what: string, text: string): Flag {
  const at = text.indexOf("=");
  const [path, value] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 1 || !PATH.test(path) || (value === "" && flag !== "--set")) {
    const form = `${flag} path=${what}, the path like limits.burst or standbys[0].host`;
    throw usageError("That is no answer.", `Give it as ${form}.`, flag);
  }
  if (flag === "--set-file") return { path, given: { kind: "from", from: `file:${value}` } };
  if (flag === "--from-env") return { path, given: { kind: "from", from: `env:${value}` } };
  return { path, given: { kind: "text", text: value } };
}

interface Branch {
  list: boolean;
  readonly members: Map<string, Branch | Given>;
}
const isBranch = (value: Branch | Given): value is Branch => !("kind" in value);

function put(root: Branch, path: string, given: Given): void {
  const steps = [...path.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([name, index]) => ({
    name: index === undefined ? name : String(Number(index)),
    inList: index !== undefined,
  }));
  let at = root;
  for (const [nth, { name, inList }] of steps.entries()) {
    const known = at.members.get(name);
    const isFirst = at.members.size === 0;
    const isLast = nth === steps.length - 1;
    if ((!isFirst && at.list !== inList) || (known !== undefined && (isLast || !isBranch(known)))) {
      throw usageError("Two flags say something of the same place.", "Give one of them.", path);
    }
    at.list = inList;
    if (isLast) {
      at.members.set(name, given);
      return;
    }
    const next: Branch =
      known !== undefined && isBranch(known) ? known : { list: false, members: new Map() };
    at.members.set(name, next);
    at = next;
  }
}

/** What is in a list comes in the order of its places, whichever flag came first. */
function givenOf(value: Branch | Given, path: string): Given {
  if (!isBranch(value)) return value;
  const { list } = value;
  const members = [...value.members];
  if (list) members.sort(([one], [other]) => Number(one) - Number(other));
  const below = members.map(([name, each], at): [string, Given] => {
    if (list && name !== String(at)) {
      throw usageError("The places of a list begin at 0.", "Leave none out.", `${path}[${at}]`);
    }
    const place = list ? `${path}[${at}]` : path === "" ? name : `${path}.${name}`;
    return [name, givenOf(each, place)];
  });
  return { kind: "below", list, members: new Map(below) };
}

/** JSON that was given for a place that has more below it; null: the text is none. */
export function givenJson(text: string): Given | null {
  try {
    return ofJson(z.json().parse(JSON.parse(text)));
  } catch {
    return null;
  }
}

function ofJson(value: Json): Given {
  if (typeof value !== "object" || value === null) return { kind: "value", value };
  return {
    kind: "below",
    list: Array.isArray(value),
    members: new Map(Object.entries(value).map(([name, each]) => [name, ofJson(each)])),
  };
}

/** What was given, as JSON. Null where a part of it is not there to be read. */
export function jsonOfGiven(given: Given): { readonly value: Json } | null {
  switch (given.kind) {
    case "from":
      return null;
    case "value":
      return { value: given.value };
    case "text":
      try {
        return { value: z.json().parse(JSON.parse(given.text)) };
      } catch {
        return null;
      }
    case "below": {
      const members = [...given.members].map(([name, each]) => [name, jsonOfGiven(each)] as const);
      if (members.some(([, each]) => each === null)) return null;
      const values = members.map(([name, each]) => [name, each?.value ?? null] as const);
      return { value: given.list ? values.map(([, each]) => each) : Object.fromEntries(values) };
    }
  }
}

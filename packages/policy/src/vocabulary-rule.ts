import {
  parseBackendId,
  parseId,
  parseResourceServerName,
  parseRoleName,
  parseSpiffeId,
  parseTrustRootName,
} from "@mayfly/spec";
import type { Expression } from "./expression.ts";
import { everyPart } from "./expression.ts";
import { INITIATOR } from "./impersonation-request.ts";
import type { ParsedClause } from "./parsed-policy.ts";
import { CLOSED_ATTRIBUTES } from "./schema.ts";
import { isSpiffeLine } from "./spiffe-path.ts";

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

/**
 * What validates in Cedar and yet can never match, or fails whenever it is met: a word outside a
 * closed list, an id of the wrong form, a member of an entity that no request brings along.
 */
export function vocabularyProblems(
  scope: readonly unknown[],
  clauses: readonly ParsedClause[],
): readonly string[] {
  const problems = new Set<string>();
  for (const entity of scope.flatMap(entitiesIn)) note(problems, idProblem(entity));
  for (const part of clauses.flatMap(({ body }) => [...everyPart(body)])) {
    if (part.kind === "value") {
      for (const entity of entitiesIn(part.value)) note(problems, idProblem(entity));
    }
    note(problems, wordProblem(part));
    note(problems, readingProblem(part));
    if (part.kind === "extension") {
      note(problems, `${part.name}() has nothing to be compared with: no fact has its type.`);
    }
  }
  return [...problems];
}

function note(problems: Set<string>, problem: string | null): void {
  if (problem !== null) problems.add(problem);
}

export interface EntityName {
  readonly type: string;
  readonly id: string;
}

/** Every entity that Cedar's JSON form of something names. */
export function entitiesIn(value: unknown): readonly EntityName[] {
  if (Array.isArray(value)) return value.flatMap(entitiesIn);
  if (!isObject(value)) return [];
  const { type, id } = value;
  if (typeof type === "string" && typeof id === "string") return [{ type, id }];
  return Object.values(value).flatMap(entitiesIn);
}

const ONLY_ID: Readonly<Record<string, string>> = {
  Catalog: "catalog",
  Ledger: "ledger",
  PolicySet: "active",
};

interface IdForm {
  readonly what: string;
  readonly example: string;
  parse(id: string, shown: string): unknown;
}
const ID_FORMS: Readonly<Record<string, IdForm>> = {
  Role: {
    what: "role",
    example: "<backend>/<shape>, as in orders-db/reader",
    parse: parseRoleName,
  },
  Backend: { what: "backend", example: "as in orders-db", parse: parseBackendId },
  TrustRoot: { what: "trust root", example: "as in acme.test", parse: parseTrustRootName },
  ResourceServer: {
    what: "resource server",
    example: "as in reports-api",
    parse: parseResourceServerName,
  },
  SpiffePath: {
    what: "path of SPIFFE IDs",
    example: "as in spiffe://acme.test/ns/payments, without a star or a slash at its end",
    parse: requireSpiffeId,
  },
  Task: { what: "task", example: "as in task_0199…", parse: (id, at) => parseId("task", id, at) },
  Lease: {
    what: "lease",
    example: "as in lease_0199…",
    parse: (id, at) => parseId("lease", id, at),
  },
};

function requireSpiffeId(text: string): void {
  if (parseSpiffeId(text) === null) throw new Error("no SPIFFE ID");
}

function idProblem({ type, id }: EntityName): string | null {
  const shown = `${type}::${JSON.stringify(id)}`;
  const only = ONLY_ID[type];
  if (only !== undefined && id !== only) {
    return `${shown} does not exist: there is one, ${type}::"${only}".`;
  }
  const form = ID_FORMS[type];
  try {
    form?.parse(id, shown);
  } catch {
    return `${shown} names no ${form?.what} that could exist: write ${form?.example}.`;
  }
  const isNamed = type === "Workload" || type === INITIATOR;
  if (isNamed && !/^(?:spiffe:\/\/[^/?#]+\/[^?#]+|[^#]+#.+)$/u.test(id)) {
    const what = type.toLowerCase();
    return `${shown} names no ${what} that could exist: write a SPIFFE ID, or <issuer>#<subject>.`;
  }
  return null;
}

/** `principal.trust_root`; null of what is no member of a variable. */
export function pathOf(expression: Expression): string | null {
  if (expression.kind === "variable") return expression.name;
  if (expression.kind !== "attribute") return null;
  const of = pathOf(expression.of);
  return of === null ? null : `${of}.${expression.name}`;
}

function wordProblem(part: Expression): string | null {
  if (part.kind !== "comparison") return null;
  const paths = part.operands.map(pathOf);
  const path = paths.find((candidate) => candidate !== null && candidate in CLOSED_ATTRIBUTES);
  const words = path === undefined || path === null ? undefined : CLOSED_ATTRIBUTES[path];
  const literals = part.operands.flatMap((operand) =>
    operand.kind === "set" ? operand.operands : [operand],
  );
  if (paths.includes("principal.spiffe_path")) return lineProblem(literals);
  if (words === undefined) return null;
  for (const literal of literals) {
    if (literal.kind !== "value" || typeof literal.value !== "string") continue;
    if (!words.includes(literal.value)) {
      return `${path} is never ${JSON.stringify(literal.value)}: it is one of ${words.join(", ")}.`;
    }
  }
  return null;
}

function lineProblem(literals: readonly Expression[]): string | null {
  for (const literal of literals) {
    if (literal.kind !== "value" || typeof literal.value !== "string") continue;
    if (isSpiffeLine(literal.value)) continue;
    return (
      `principal.spiffe_path never holds ${JSON.stringify(literal.value)}: write "2=payments" for ` +
      'the second segment, and "segments=3" for how many there are.'
    );
  }
  return null;
}

function readingProblem(part: Expression): string | null {
  if (part.kind !== "attribute" && part.kind !== "tag" && part.kind !== "presence") return null;
  return pathOf(part.of) === null
    ? "Members may be read of principal, resource and context, and of what they hold, alone."
    : null;
}

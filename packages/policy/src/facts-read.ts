import type { CredentialRequest } from "./cedar-request.ts";
import { operandsOf, type Expression } from "./expression.ts";
import type { ParsedPolicy } from "./parsed-policy.ts";
import { SPIFFE_PATH } from "./spiffe-path.ts";

/**
 * Which facts of a request some policies may read. Two requests that agree in those have the same
 * answer of Cedar's. The action, the role with all that is registered of it, and the workload's
 * issuer, kind and trust root are always among them: there are few of each.
 */
export interface FactsRead {
  /** Who asks: in full, or only which of these ids it is, if any. */
  readonly principal: "any" | ReadonlySet<string>;
  /** In which of these paths of SPIFFE IDs it is. */
  readonly paths: ReadonlySet<string>;
  readonly tags: "any" | ReadonlySet<string>;
  /** Members of the context: `ttl_seconds`, `task.depth`. */
  readonly context: "any" | ReadonlySet<string>;
}

/** Errs on the side of "may read": whatever is not plainly understood reads everything. */
export function factsRead(policies: readonly ParsedPolicy[]): FactsRead {
  const reads: Reads = {
    whole: false,
    principal: new Set(),
    paths: new Set(),
    anyPrincipal: false,
    tags: new Set(),
    anyTag: false,
    context: new Set(),
    anyContext: false,
  };
  for (const { json, clauses } of policies) {
    const part = json.principal.op === "is" ? json.principal.in : json.principal;
    if (part !== undefined && "entity" in part) {
      const { entity } = part;
      const { type, id } = "__entity" in entity ? entity.__entity : entity;
      (type === SPIFFE_PATH ? reads.paths : reads.principal).add(id);
    }
    for (const { body } of clauses) note(body, reads);
  }
  const { whole } = reads;
  return {
    principal: whole || reads.anyPrincipal ? "any" : reads.principal,
    paths: reads.paths,
    tags: whole || reads.anyTag ? "any" : reads.tags,
    context: whole || reads.anyContext ? "any" : reads.context,
  };
}

interface Reads {
  whole: boolean;
  anyPrincipal: boolean;
  anyTag: boolean;
  anyContext: boolean;
  readonly principal: Set<string>;
  readonly paths: Set<string>;
  readonly tags: Set<string>;
  readonly context: Set<string>;
}

function note(part: Expression, reads: Reads): void {
  switch (part.kind) {
    case "value":
      return;
    case "variable":
      if (part.name === "principal") reads.anyPrincipal = true;
      else if (part.name === "context") reads.anyContext = true;
      return;
    case "attribute":
      return noteAttribute(part, reads);
    case "presence":
      return part.key === null ? notePresence(part.of, reads) : noteTag(part.of, part.key, reads);
    case "tag":
      return noteTag(part.of, part.key, reads);
    case "extension":
      // Its arguments are not kept.
      reads.whole = true;
      return;
    case "not":
    case "if":
    case "and":
    case "or":
    case "arithmetic":
    case "set":
    case "comparison":
    case "record":
      for (const operand of operandsOf(part)) note(operand, reads);
  }
}

const ALWAYS_KNOWN: ReadonlySet<string> = new Set(["issuer", "kind", "trust_root"]);

function noteAttribute(part: Expression, reads: Reads): void {
  const path = pathOf(part);
  const [root, first, ...more] = path ?? [];
  switch (root) {
    case "resource":
      return;
    case "principal":
      if (first === undefined || !ALWAYS_KNOWN.has(first)) reads.anyPrincipal = true;
      return;
    case "context":
      // The task as a whole has no name of its own.
      if (first === undefined || (first === "task" && more.length !== 1)) reads.anyContext = true;
      else reads.context.add([first, ...more].join("."));
      return;
    default:
      // Of an entity that is named in the policy: it may be the one that asks.
      reads.whole = true;
  }
}

/** `has`: of all that can be absent, the context holds two. */
function notePresence(of: Expression, reads: Reads): void {
  const [root] = pathOf(of) ?? [];
  if (root === "context") {
    reads.context.add("task.initiator").add("task.initiator_trust_root");
  } else if (root !== "principal" && root !== "resource") {
    reads.whole = true;
  }
}

function noteTag(of: Expression, key: Expression, reads: Reads): void {
  if (of.kind !== "variable" || of.name !== "principal") {
    reads.whole = true;
  } else if (key.kind === "value" && typeof key.value === "string") {
    reads.tags.add(key.value);
  } else {
    reads.anyTag = true;
    note(key, reads);
  }
}

/** `context.task.depth` as its names; null for what does not begin at a variable. */
function pathOf(part: Expression): readonly string[] | null {
  if (part.kind === "variable") return [part.name];
  if (part.kind !== "attribute") return null;
  const before = pathOf(part.of);
  return before === null ? null : [...before, part.name];
}

/** The facts of a request that are read, as text: equal for two requests that agree in them. */
export function readFacts(reads: FactsRead, facts: CredentialRequest): string {
  const { principal, action, resource, context } = facts;
  const [workload, role] = facts.entities;
  // The path is of the id, which is read in full where the path is.
  const { subject, spiffe_path: _, ...known } = workload.attrs;
  const who =
    reads.principal === "any"
      ? [principal.id, subject]
      : reads.principal.has(principal.id)
        ? principal.id
        : null;
  const { task, ...others } = context;
  const read: unknown[] = [action.id, resource.id, role.attrs, known, who];
  if (reads.principal !== "any" && reads.paths.size > 0) {
    read.push(workload.parents.filter(({ id }) => reads.paths.has(id)).map(({ id }) => id));
  }
  if (reads.tags === "any") read.push(Object.entries(workload.tags).toSorted(byName));
  else for (const name of reads.tags) read.push(own(workload.tags, name));
  if (reads.context === "any") read.push(context);
  else {
    for (const path of reads.context) {
      read.push(path.startsWith(TASK) ? own(task, path.slice(TASK.length)) : own(others, path));
    }
  }
  return JSON.stringify(read);
}

const TASK = "task.";
const own = (record: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.hasOwn(record, name) ? record[name] : null;
const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a < b ? -1 : 1;

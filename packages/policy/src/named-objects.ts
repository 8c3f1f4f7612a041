import type { PolicySource } from "@mayfly/spec";
import { admitPolicies } from "./compile.ts";
import { everyPart, type Expression } from "./expression.ts";
import type { ParsedPolicy } from "./parsed-policy.ts";
import { entitiesIn, pathOf } from "./vocabulary-rule.ts";

/** Something registered that a policy names. */
export interface NamedObject {
  /** Name of the source that the policy is in. */
  readonly source: string;
  readonly kind: "role" | "backend" | "trust" | "resource_server";
  readonly name: string;
}

/**
 * What policies name that has to be registered for them to match anything, each once for a source;
 * nothing where they do not compile. A mistyped name is no error of a policy, which may come before
 * what it is about: and a forbid with one forbids nothing.
 */
export function namedObjects(sources: readonly PolicySource[]): readonly NamedObject[] {
  const admitted = admitPolicies(sources);
  if (!admitted.ok) return [];
  const found = admitted.policies.flatMap((policy) =>
    namesIn(policy).map((named) => ({ source: policy.source, ...named })),
  );
  return [...new Map(found.map((named) => [Object.values(named).join("\n"), named])).values()];
}

type Name = Pick<NamedObject, "kind" | "name">;
const KINDS: ReadonlyMap<string, NamedObject["kind"]> = new Map([
  ["Role", "role"],
  ["Backend", "backend"],
  ["TrustRoot", "trust"],
  ["ResourceServer", "resource_server"],
]);

function namesIn({ json: { principal, resource }, clauses }: ParsedPolicy): readonly Name[] {
  const parts = clauses.flatMap(({ body }) => [...everyPart(body)]);
  const values = parts.flatMap((part) => (part.kind === "value" ? [part.value] : []));
  const entities = [principal, resource, ...values].flatMap(entitiesIn);
  return [
    ...entities.flatMap(({ type, id }) => {
      const kind = KINDS.get(type);
      return kind === undefined ? [] : [{ kind, name: id }];
    }),
    ...parts.flatMap(trustRootsIn),
  ];
}

const TRUST_ROOTS: ReadonlySet<string> = new Set(["principal.trust_root", "resource.trust_root"]);

/** `principal.trust_root == "acme.test"`: a text, and a name all the same. */
function trustRootsIn(part: Expression): readonly Name[] {
  if (part.kind !== "comparison" || part.operator === "like") return [];
  if (!part.operands.some((operand) => TRUST_ROOTS.has(pathOf(operand) ?? ""))) return [];
  return part.operands
    .flatMap((operand) => (operand.kind === "set" ? operand.operands : [operand]))
    .flatMap((operand) =>
      operand.kind === "value" && typeof operand.value === "string"
        ? [{ kind: "trust", name: operand.value }]
        : [],
    );
}

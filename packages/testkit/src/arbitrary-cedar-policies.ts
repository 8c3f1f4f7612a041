import fc from "fast-check";
import {
  ARBITRARY_ROLES,
  ARBITRARY_TAGS,
  ARBITRARY_VALUES,
  ARBITRARY_WORKLOADS,
} from "./access-request.ts";

/** A policy of the language that `@mayfly/policy` admits, over the world of `access-request.ts`. */
export interface ArbitraryCedarPolicy {
  readonly effect: "permit" | "forbid";
  readonly scope: string;
  readonly clauses: readonly string[];
}

const quote = (text: string): string => JSON.stringify(text);
const oneOf = (values: readonly string[]): fc.Arbitrary<string> =>
  fc.constantFrom(...values.map(quote));

const neutral: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(60, 900, 1800).map((n) => `context.task.deadline_seconds <= ${n}`),
  fc.nat({ max: 2 }).map((n) => `context.task.depth == ${n}`),
  oneOf(["public", "confidential", "restricted"]).map((v) => `resource.data_class == ${v}`),
  oneOf(["prod", "test"]).map((v) => `resource.environment != ${v}`),
  oneOf(["member_of=app_reader", "read_only=false"]).map((v) => `context.grant.contains(${v})`),
  oneOf(ARBITRARY_WORKLOADS).map((v) => `context.actors.contains(${v})`),
  oneOf(["orders-db:orders"]).map((v) => `context.task.targets.containsAny([${v}])`),
  fc.constantFrom('principal.issuer like "spiffe://acme*"', "context.task.targets.isEmpty()"),
  fc.constant('resource in Backend::"orders-db"'),
  fc.constant("context.task.impersonates"),
);
const overflowing = fc
  .constantFrom(60, 900)
  .map((n) => `(context.ttl_seconds <= ${n} || ${"9007199254740991 * ".repeat(2)}2 > 0)`);

const tag = fc
  .tuple(fc.constantFrom("", "mutable."), fc.constantFrom(...ARBITRARY_TAGS))
  .map(([prefix, name]) => quote(prefix + name));
const present: fc.Arbitrary<string> = fc.oneof(
  tag.map((name) => `principal.hasTag(${name})`),
  fc
    .tuple(tag, oneOf(ARBITRARY_VALUES), fc.constantFrom("==", "!="))
    .map(([name, v, op]) => `(principal.hasTag(${name}) && principal.getTag(${name}) ${op} ${v})`),
  fc.constant("context.task has initiator"),
  fc.constant(
    '(context.task has initiator_trust_root && context.task.initiator_trust_root == "login")',
  ),
  oneOf(["alice@acme.test"]).map(
    (v) => `(context has task.initiator && context.task.initiator == ${v})`,
  ),
);

type Way = "up" | "down";
const other = { up: "down", down: "up" } as const;

function condition(way: Way, leaf: fc.Arbitrary<string>, depth: number): fc.Arbitrary<string> {
  const base =
    way === "up"
      ? fc.oneof({ weight: 3, arbitrary: present }, { weight: 1, arbitrary: leaf })
      : leaf;
  const below = (to: Way): fc.Arbitrary<string> => condition(to, leaf, depth - 1);
  if (depth === 0) return base;
  return fc.oneof(
    { depthSize: "small" },
    base,
    fc.tuple(below(way), below(way)).map(([a, b]) => `(${a} && ${b})`),
    fc.tuple(below(way), below(way)).map(([a, b]) => `(${a} || ${b})`),
    below(other[way]).map((a) => `!(${a})`),
    fc
      .tuple(leaf, below(way), below(way))
      .map(([test, yes, no]) => `(if ${test} then ${yes} else ${no})`),
  );
}
/** No test for presence anywhere, so calculation is admitted. */
const calculating = fc.tuple(neutral, overflowing).map(([a, b]) => `(${a} || ${b})`);

const scope: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom("principal", `principal == Workload::${quote(ARBITRARY_WORKLOADS[0])}`),
    fc.constantFrom("action", 'action == Action::"issue"', 'action in Action::"credential"'),
    fc.constantFrom(
      "resource",
      'resource in Backend::"orders-db"',
      ...ARBITRARY_ROLES.map((role) => `resource == Role::${quote(role)}`),
    ),
  )
  .map((parts) => parts.join(", "));

const clausesOf = (effect: "permit" | "forbid"): fc.Arbitrary<readonly string[]> => {
  const clause = fc.constantFrom("when", "unless").chain((kind) => {
    const way = (effect === "permit") === (kind === "when") ? "up" : "down";
    return condition(way, neutral, 3).map((body) => `${kind} { ${body} }`);
  });
  return fc.oneof(
    { weight: 9, arbitrary: fc.array(clause, { maxLength: 2 }) },
    { weight: 1, arbitrary: calculating.map((body) => [`when { ${body} }`]) },
  );
};

const ofEffect = (effect: "permit" | "forbid"): fc.Arbitrary<ArbitraryCedarPolicy> =>
  fc.record({ effect: fc.constant(effect), scope, clauses: clausesOf(effect) });
export const arbitraryCedarForbid: fc.Arbitrary<ArbitraryCedarPolicy> = ofEffect("forbid");
export const arbitraryCedarPolicies: fc.Arbitrary<readonly ArbitraryCedarPolicy[]> = fc
  .tuple(
    fc.array(ofEffect("permit"), { minLength: 1, maxLength: 4 }),
    fc.array(arbitraryCedarForbid, { maxLength: 2 }),
  )
  .map(([permits, forbids]) => [...permits, ...forbids]);

export const textOfCedarPolicy = (policy: ArbitraryCedarPolicy, id: string): string =>
  `@id("${id}")\n${policy.effect} (${policy.scope})\n${policy.clauses.join("\n")};\n`;

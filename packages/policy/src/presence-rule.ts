import type { Expression } from "./expression.ts";
import { everyPart, operandsOf } from "./expression.ts";
import type { ParsedClause } from "./parsed-policy.ts";

/**
 * Removing an attribute never turns a deny into a permit.
 *
 * Every test for presence (`has`, `hasTag`) must stand where a yes can only help to permit: in a
 * permit under no negation, in a forbid under one (`unless` is one). Then, with the attribute gone,
 * a permit that still holds held before, for it is monotone in the test and strict validation
 * allows no reading of the attribute that the test does not guard; and a forbid that held before
 * still holds. Where the direction cannot be told (beneath `==`, as the condition of an `if`, in a
 * set) the policy is refused.
 *
 * That argument takes it that evaluation does not fail, and a failure counts as a forbid. Of what
 * validates, only arithmetic fails (overflow), so no policy may both test for presence and
 * calculate: the test could otherwise hide the failure.
 */
export function presenceProblems(
  effect: "permit" | "forbid",
  clauses: readonly ParsedClause[],
): readonly string[] {
  const problems = new Set<string>();
  for (const { kind, body } of clauses) {
    const helpful = (effect === "permit") === (kind === "when");
    walk(body, helpful ? "up" : "down", (direction) => {
      problems.add(ADVICE[direction === "down" ? effect : direction]);
    });
  }
  const parts = clauses.flatMap(({ body }) => [...everyPart(body)]);
  const tests = parts.some((part) => part.kind === "presence");
  if (tests && parts.some((part) => part.kind === "arithmetic")) {
    problems.add(
      "The policy both tests for an attribute and calculates. A calculation that overflows " +
        "denies, so without the attribute it might permit. Write numbers instead of sums, or " +
        "split the policy in two.",
    );
  }
  return [...problems];
}

/** Which way a yes of the expression pushes the verdict: to permit, to deny, or either. */
type Direction = "up" | "down" | "unclear";
const flipped = { up: "down", down: "up", unclear: "unclear" } as const;

function walk(
  expression: Expression,
  direction: Direction,
  refuse: (direction: "down" | "unclear") => void,
): void {
  const each = (parts: readonly Expression[], way: Direction): void => {
    for (const part of parts) walk(part, way, refuse);
  };
  switch (expression.kind) {
    case "not":
      return walk(expression.operand, flipped[direction], refuse);
    case "and":
    case "or":
      return each(expression.operands, direction);
    case "if":
      walk(expression.condition, "unclear", refuse);
      return each(expression.branches, direction);
    case "presence":
      if (direction !== "up") refuse(direction);
      return each(operandsOf(expression), "unclear");
    case "value":
    case "variable":
    case "extension":
    case "attribute":
    case "tag":
    case "arithmetic":
    case "set":
    case "comparison":
    case "record":
      return each(operandsOf(expression), "unclear");
  }
}

const ADVICE = {
  permit:
    "Without the attribute this permit would reach further: in a permit, has and hasTag stand " +
    'under no negation. Write when { principal.hasTag("team") && principal.getTag("team") == "a" }.',
  forbid:
    "Without the attribute this forbid would not bite: in a forbid, has and hasTag stand under " +
    'one negation. Write unless { principal.hasTag("team") && principal.getTag("team") == "a" }.',
  unclear:
    "It cannot be told what a missing attribute does here: has and hasTag may stand beneath &&, " +
    "|| and !, and in the branches of an if, but not in its condition, in a comparison or in a set.",
} as const;

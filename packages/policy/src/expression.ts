import { LIMITS } from "./limits.ts";

/** A condition as Cedar parsed it, reduced to the distinctions that the shape rules make. */
export type Expression =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "attribute"; readonly of: Expression; readonly name: string }
  | { readonly kind: "tag"; readonly of: Expression; readonly key: Expression }
  /** `has` and `hasTag`: is it there? */
  | { readonly kind: "presence"; readonly of: Expression; readonly key: Expression | null }
  | { readonly kind: "not"; readonly operand: Expression }
  | { readonly kind: "and" | "or"; readonly operands: readonly Expression[] }
  | {
      readonly kind: "if";
      readonly condition: Expression;
      readonly branches: readonly Expression[];
    }
  | { readonly kind: "arithmetic"; readonly operands: readonly Expression[] }
  | { readonly kind: "set"; readonly operands: readonly Expression[] }
  | {
      readonly kind: "comparison";
      readonly operator: string;
      readonly operands: readonly Expression[];
      /** Of `like` alone. */
      readonly pattern?: LikePattern;
    }
  | { readonly kind: "record"; readonly operands: readonly Expression[] }
  | { readonly kind: "extension"; readonly name: string };

/** Text, and null for each star. */
export type LikePattern = readonly (string | null)[];

/** The policy cannot be admitted; the message is for its author. */
export class ShapeProblem extends Error {
  override readonly name = "ShapeProblem";
}

const COMPARISONS: ReadonlySet<string> = new Set(
  "== != < <= > >= in contains containsAll containsAny".split(" "),
);
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function member(value: unknown, name: string): unknown {
  if (!isObject(value) || !Object.hasOwn(value, name)) {
    throw new ShapeProblem(`Cedar's form of the condition lacks "${name}".`);
  }
  return value[name];
}

/**
 * Reads Cedar's JSON form of an expression, closed-world: an operator that is not known here is a
 * {@link ShapeProblem}, since no rule could vouch for it.
 */
export function parseExpression(json: unknown, depth = 0): Expression {
  if (depth > LIMITS.depth) {
    throw new ShapeProblem(
      `The condition is a tree deeper than ${LIMITS.depth}: split the policy, or use sets.`,
    );
  }
  const [entry, ...more] = isObject(json) ? Object.entries(json) : [];
  if (entry === undefined || more.length > 0) {
    throw new ShapeProblem("Cedar's form of the condition is not one operator.");
  }
  const [operator, body] = entry;
  const at = (name: string): Expression => parseExpression(member(body, name), depth + 1);
  const all = (list: readonly unknown[]): readonly Expression[] =>
    list.map((item) => parseExpression(item, depth + 1));
  switch (operator) {
    case "Value":
      return { kind: "value", value: body };
    case "Var":
      return { kind: "variable", name: String(body) };
    case ".":
      return { kind: "attribute", of: at("left"), name: String(member(body, "attr")) };
    case "has":
      return { kind: "presence", of: at("left"), key: null };
    case "hasTag":
      return { kind: "presence", of: at("left"), key: at("right") };
    case "getTag":
      return { kind: "tag", of: at("left"), key: at("right") };
    case "!":
      return { kind: "not", operand: at("arg") };
    case "&&":
      return { kind: "and", operands: [at("left"), at("right")] };
    case "||":
      return { kind: "or", operands: [at("left"), at("right")] };
    case "if-then-else":
      return { kind: "if", condition: at("if"), branches: [at("then"), at("else")] };
    case "neg":
      return { kind: "arithmetic", operands: [at("arg")] };
    case "+":
    case "-":
    case "*":
      return { kind: "arithmetic", operands: [at("left"), at("right")] };
    case "Set":
      return { kind: "set", operands: all(Array.isArray(body) ? body : []) };
    case "Record":
      return { kind: "record", operands: all(isObject(body) ? Object.values(body) : []) };
    case "isEmpty":
      return { kind: "comparison", operator, operands: [at("arg")] };
    case "like":
      return {
        kind: "comparison",
        operator,
        operands: [at("left")],
        pattern: patternOf(member(body, "pattern")),
      };
    case "is": {
      const within = isObject(body) && Object.hasOwn(body, "in") ? [at("in")] : [];
      return { kind: "comparison", operator, operands: [at("left"), ...within] };
    }
    default:
      if (COMPARISONS.has(operator)) {
        return { kind: "comparison", operator, operands: [at("left"), at("right")] };
      }
      if (Array.isArray(body)) return { kind: "extension", name: operator };
      throw new ShapeProblem(`The operator "${operator}" is not admitted in policies.`);
  }
}

/** `["Wildcard", {"Literal": "a"}]`; literals that stand side by side are one. */
function patternOf(json: unknown): LikePattern {
  if (!Array.isArray(json)) throw new ShapeProblem("Cedar's form of a pattern is no list.");
  const elements: readonly unknown[] = json;
  return elements.reduce<LikePattern>((pattern, element) => {
    if (element === "Wildcard") return [...pattern, null];
    const text = String(member(element, "Literal"));
    const last = pattern.at(-1);
    return typeof last === "string" ? [...pattern.slice(0, -1), last + text] : [...pattern, text];
  }, []);
}

/** The direct parts of an expression. */
export function operandsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case "value":
    case "variable":
    case "extension":
      return [];
    case "attribute":
      return [expression.of];
    case "tag":
      return [expression.of, expression.key];
    case "presence":
      return expression.key === null ? [expression.of] : [expression.of, expression.key];
    case "not":
      return [expression.operand];
    case "if":
      return [expression.condition, ...expression.branches];
    case "and":
    case "or":
    case "arithmetic":
    case "set":
    case "comparison":
    case "record":
      return expression.operands;
  }
}

/** The expression and everything in it, outermost first. */
export function* everyPart(expression: Expression): Generator<Expression> {
  yield expression;
  for (const operand of operandsOf(expression)) yield* everyPart(operand);
}

import type { PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import type { PolicyId } from "@mayfly/spec";
import type { Expression } from "./expression.ts";
import type { PolicyText } from "./split-source.ts";

export interface ParsedClause {
  readonly kind: "when" | "unless";
  readonly body: Expression;
}

/** One admitted policy. */
export interface ParsedPolicy extends PolicyText {
  readonly id: PolicyId;
  readonly description: string | null;
  /** The risk that a permit accepts by its word; see `RISK_MEMBER` of spec. */
  readonly accepts: string | null;
  readonly json: PolicyJson;
  readonly clauses: readonly ParsedClause[];
  /** What it is about. Only a forbid on who asks alone is about all. */
  readonly side: "credentials" | "administration" | "impersonation" | "all";
}

/** Those that one side is decided by. */
export const policiesOn = (
  side: Exclude<ParsedPolicy["side"], "all">,
  policies: readonly ParsedPolicy[],
): readonly ParsedPolicy[] => policies.filter((each) => each.side === side || each.side === "all");

import type { PolicyCompiler, PolicyEngine, PolicySource } from "@mayfly/spec";
import { createFakePolicyEngine, type FakePolicyRule } from "./fake-policy.ts";

/** A source for {@link createFakePolicyCompiler}: rules as JSON text. */
export const fakePolicySource = (
  rules: readonly FakePolicyRule[],
  name = "fake.json",
): PolicySource => ({ name, text: JSON.stringify(rules) });

/** Compiles {@link fakePolicySource}; anything else is a problem on line 1. */
export function createFakePolicyCompiler(): PolicyCompiler {
  const compile: PolicyCompiler["compile"] = (sources) => {
    const rules: FakePolicyRule[] = [];
    for (const { name, text } of sources) {
      try {
        const parsed: unknown = JSON.parse(text);
        if (!Array.isArray(parsed)) throw new Error("expected a list of rules");
        // Only fakePolicySource makes lists; the engine refuses rules that are none.
        rules.push(...(parsed as FakePolicyRule[]));
      } catch (error) {
        const message = error instanceof Error ? error.message : "not JSON";
        return { ok: false, problems: [{ source: name, policyId: null, message, line: 1 }] };
      }
    }
    const engine: PolicyEngine = createFakePolicyEngine(rules);
    return { ok: true, engine, warnings: [] };
  };
  // These rules know no vocabulary that could change.
  return { compile, compileActive: compile };
}

import type { FakePolicyRule } from "@mayfly/testkit";
import { describePolicyContract } from "@mayfly/testkit/contract";
import { createPolicyCompiler } from "./index.ts";

const OVERFLOW = "context.ttl_seconds * 9007199254740991 * 9007199254740991 > 0";

function cedarText(rule: FakePolicyRule): string {
  const is = (name: string, type: string, id: string | undefined): string =>
    id === undefined ? name : `${name} == ${type}::${JSON.stringify(id)}`;
  const scope = [
    is("principal", "Workload", rule.workload),
    is("action", "Action", rule.action),
    is("resource", "Role", rule.role),
  ];
  const clause = rule.fails === true ? ` when { ${OVERFLOW} }` : "";
  return `@id("${rule.id}") ${rule.effect} (${scope.join(", ")})${clause};`;
}

describePolicyContract({
  name: "Cedar",
  engineOf(rules) {
    const text = rules.map(cedarText).join("\n");
    const compiled = createPolicyCompiler().compile([{ name: "contract.cedar", text }]);
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
    return compiled.engine;
  },
});

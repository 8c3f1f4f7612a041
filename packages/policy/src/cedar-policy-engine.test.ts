import type { FakePolicyRule } from "@mayfly/testkit";
import { describePolicyContract } from "@mayfly/testkit/contract";
import { createPolicyCompiler } from "./index.ts";

const OVERFLOW = "context.ttl_seconds * 9007199254740991 * 9007199254740991 > 0";

function cedarText(rule: FakePolicyRule): string {
  const is = (name: string, type: string, id: string | undefined): string =>
    id === undefined ? name : `${name} == ${type}::${JSON.stringify(id)}`;
  const resourceOf = ({ on, role, impersonate }: FakePolicyRule): string => {
    if (impersonate !== undefined) return is("resource", "Initiator", impersonate);
    return on === undefined ? is("resource", "Role", role) : is("resource", ...administered(on));
  };
  const scope = [
    is("principal", "Workload", rule.workload),
    rule.administer === "anything"
      ? 'action in Action::"administer"'
      : is("action", "Action", rule.action ?? rule.administer ?? actionOnPairs(rule)),
    resourceOf(rule),
  ];
  const clause = rule.fails === true ? ` when { ${OVERFLOW} }` : "";
  return `@id("${rule.id}") ${rule.effect} (${scope.join(", ")})${clause};`;
}

const actionOnPairs = ({ impersonate }: FakePolicyRule): string | undefined =>
  impersonate === undefined ? undefined : "impersonate";

const TYPES: Readonly<Record<string, readonly [type: string, id?: string]>> = {
  catalog: ["Catalog", "catalog"],
  ledger: ["Ledger", "ledger"],
  policies: ["PolicySet", "active"],
  backend: ["Backend"],
  role: ["Role"],
  trust: ["TrustRoot"],
  "resource-server": ["ResourceServer"],
  task: ["Task"],
  lease: ["Lease"],
};

/** `backend orders-db` in Cedar's terms. */
function administered(name: string): readonly [type: string, id: string] {
  const [word = "", given = ""] = name.split(" ");
  const [type, id] = TYPES[word] ?? ["", ""];
  return [type, id ?? given];
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

import fc from "fast-check";
import { backendOfRole, parseRoleName, type AccessRequest } from "@mayfly/spec";
import {
  accessRequest,
  arbitraryAccessRequest,
  arbitraryCedarPolicies,
  ARBITRARY_WORKLOADS,
  textOfCedarPolicy,
} from "@mayfly/testkit";

/** Enough names that most policies of a large set are about something else than the request. */
const BACKENDS = ["orders-db", "ledger-db", "stock-db", "mail-db"] as const;
const ROLES = BACKENDS.flatMap((name) => Array.from({ length: 12 }, (_, n) => `${name}/role${n}`));
const WORKLOADS = [
  ...ARBITRARY_WORKLOADS,
  ...Array.from({ length: 9 }, (_, n) => `spiffe://acme.test/agent/bot${n}`),
];

const uid = (type: string, names: readonly string[]): fc.Arbitrary<string> =>
  fc.constantFrom(...names).map((name) => `${type}::${JSON.stringify(name)}`);
const workload = uid("Workload", WORKLOADS);
const role = uid("Role", ROLES);
const backend = uid("Backend", BACKENDS);

/** Every form of a scope that Cedar has, about half of them with a name in it. */
const scope: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom("principal", "principal is Workload") },
      { weight: 1, arbitrary: workload.map((id) => `principal == ${id}`) },
      { weight: 1, arbitrary: workload.map((id) => `principal in ${id}`) },
      { weight: 1, arbitrary: workload.map((id) => `principal is Workload in ${id}`) },
    ),
    fc.constantFrom(
      "action",
      'action == Action::"issue"',
      'action == Action::"renew"',
      'action in Action::"credential"',
      'action in [Action::"issue", Action::"renew"]',
      'action in [Action::"renew"]',
    ),
    fc.oneof(
      { weight: 1, arbitrary: fc.constantFrom("resource", "resource is Role") },
      { weight: 4, arbitrary: role.map((id) => `resource == ${id}`) },
      { weight: 1, arbitrary: role.map((id) => `resource in ${id}`) },
      { weight: 1, arbitrary: backend.map((id) => `resource in ${id}`) },
      { weight: 1, arbitrary: backend.map((id) => `resource is Role in ${id}`) },
    ),
  )
  .map((parts) => parts.join(", "));

/** A set with many forbids hardly permits anything, and one with none forbids nothing. */
const FORBID_PERCENTS = [0, 3, 40] as const;

/** Policies with the conditions of `arbitraryCedarPolicies` and the ids `p0`, `p1`, … */
export const arbitraryPolicyTexts = (count: number): fc.Arbitrary<readonly string[]> =>
  fc
    .array(fc.tuple(arbitraryCedarPolicies, scope, fc.nat({ max: 99 })), {
      minLength: count,
      maxLength: count,
    })
    .map((drawn) =>
      drawn.map(([policies, ownScope, roll], at) => {
        const forbids = roll < (FORBID_PERCENTS[count % 3] ?? 0);
        const effect = forbids ? "forbid" : "permit";
        const found = policies.find((one) => one.effect === effect);
        const { clauses } = found ?? { clauses: [] };
        return textOfCedarPolicy({ effect, scope: ownScope, clauses }, `p${at}`);
      }),
    );

/** A request for any role of this world by any of its workloads. */
export const arbitraryRequestInWorld: fc.Arbitrary<AccessRequest> = fc
  .tuple(arbitraryAccessRequest, fc.constantFrom(...ROLES), fc.constantFrom(...WORKLOADS))
  .map(([request, roleName, subject]) => {
    const name = parseRoleName(roleName, "role");
    const { attributes } = request.workload;
    return {
      ...request,
      workload: accessRequest({ workload: subject, attributes }).workload,
      role: { ...request.role, name, backendId: backendOfRole(name) },
    };
  });

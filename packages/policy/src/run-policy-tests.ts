import {
  instantMs,
  parseId,
  type AccessRequest,
  type AdministeredResource,
  type JsonObject,
  type PolicyEngine,
  type RoleName,
  type Verdict,
} from "@mayfly/spec";
import type { CredentialPolicyTest, PolicyTest } from "./parse-policy-tests.ts";

/** What the registered or applied files say of a role, for tests that name it. */
export interface PolicyTestRole {
  readonly role: AccessRequest["role"];
  readonly ttlSecondsMax: number;
  /** The grant of a request without parameters, from the backend type's `plan`. */
  readonly grant: JsonObject;
}
export type PolicyTestCatalogue = ReadonlyMap<RoleName, PolicyTestRole>;

export interface PolicyTestResult {
  readonly name: string;
  readonly passed: boolean;
  /** What is other than expected, a sentence each; empty when passed. */
  readonly differences: readonly string[];
  /** Null when the test names a role that the catalogue does not have. */
  readonly verdict: Verdict | null;
}

/** Decides each test's request as the exchange would, and compares. Never throws. */
export const runPolicyTests = (
  engine: PolicyEngine,
  tests: readonly PolicyTest[],
  catalogue: PolicyTestCatalogue,
): readonly PolicyTestResult[] => tests.map((test) => runOne(engine, test, catalogue));

function runOne(
  engine: PolicyEngine,
  test: PolicyTest,
  catalogue: PolicyTestCatalogue,
): PolicyTestResult {
  if (test.about === "administration") {
    const { action, workload } = test;
    const resource = withCatalogue(test.resource, catalogue);
    const verdict = engine.administer({ action, workload, resource });
    const differences = [...compare(engine, test, verdict)];
    return { name: test.name, passed: differences.length === 0, differences, verdict };
  }
  if (test.about === "impersonation") {
    const { workload, initiator, initiatorTrustRoot } = test;
    const verdict = engine.impersonate({ workload, initiator, initiatorTrustRoot });
    const differences = [...compare(engine, test, verdict)];
    return { name: test.name, passed: differences.length === 0, differences, verdict };
  }
  const registered = catalogue.get(test.role);
  if (registered === undefined) {
    const known = [...catalogue.keys()].toSorted().slice(0, 10).join(", ");
    const differences = [
      `There is no role ${test.role}: add it, or name one of ${known === "" ? "none" : known}.`,
    ];
    return { name: test.name, passed: false, differences, verdict: null };
  }
  const verdict = engine.decide(requestOf(test, registered));
  const differences = [...compare(engine, test, verdict)];
  return { name: test.name, passed: differences.length === 0, differences, verdict };
}

/** What the test does not say of a role or a backend, the catalogue does, where it knows it. */
function withCatalogue(
  resource: AdministeredResource,
  catalogue: PolicyTestCatalogue,
): AdministeredResource {
  if (resource.kind === "backend") {
    const role = [...catalogue.values()].find((each) => each.role.backendId === resource.id);
    return { ...resource, type: resource.type || (role?.role.backendType ?? "") };
  }
  if (resource.kind !== "role") return resource;
  const known = catalogue.get(resource.name)?.role;
  if (known === undefined) return resource;
  return {
    ...resource,
    backendType: resource.backendType || known.backendType,
    dataClass: resource.dataClass || known.dataClass,
    reversibility: resource.reversibility || known.reversibility,
    environment: resource.environment || known.environment,
  };
}

// Policy sees neither: a request needs them to be one.
const NO_LEASE = parseId("lease", "lease_00000000000070008000000000000000", "lease");
const NO_INSTANT = instantMs(0);

function requestOf(test: CredentialPolicyTest, registered: PolicyTestRole): AccessRequest {
  const ceiling = Math.min(registered.ttlSecondsMax, test.task.deadlineSeconds);
  return {
    action: test.action,
    workload: test.workload,
    actorChain: test.actorChain,
    task: test.task,
    role: { ...registered.role, ...test.roleFacts },
    plan: {
      leaseId: NO_LEASE,
      externalName: "policy-test",
      expiresAt: NO_INSTANT,
      grant: test.grant ?? registered.grant,
    },
    ttlSeconds: test.ttlSeconds ?? ceiling,
  };
}

function* compare(engine: PolicyEngine, test: PolicyTest, verdict: Verdict): Generator<string> {
  if (verdict.effect !== test.expect) {
    yield `Expected ${test.expect}, got ${verdict.effect}: ${verdict.explanation}`;
  }
  if (test.because === null) return;
  const expected = new Set(test.because);
  const actual = new Set(verdict.determining);
  for (const id of expected) {
    if (actual.has(id)) continue;
    yield engine.policyIds.includes(id)
      ? `Policy '${id}' was expected to determine the verdict and did not.`
      : `Policy '${id}' was expected to determine the verdict; there is no such policy.`;
  }
  for (const id of actual) {
    if (!expected.has(id)) yield `Policy '${id}' determined the verdict and was not expected to.`;
  }
}

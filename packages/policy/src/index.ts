export type { CedarPolicyEngine } from "./cedar-policy-engine.ts";
export {
  createPolicyCompiler,
  type CedarPolicyCompiler,
  type CompiledPolicies,
} from "./compile.ts";
export type { PolicyExplanation, PolicyOutcome } from "./explain.ts";
export { grantLines } from "./grant-lines.ts";
export { namedObjects, type NamedObject } from "./named-objects.ts";
export { ADMINISTRATION_SCHEMA, IMPERSONATION_SCHEMA, POLICY_SCHEMA } from "./schema.ts";
export {
  parsePolicyTests,
  POLICY_TESTS_SCHEMA,
  type CredentialPolicyTest,
  type PolicyTest,
} from "./parse-policy-tests.ts";
export {
  runPolicyTests,
  type PolicyTestCatalogue,
  type PolicyTestResult,
  type PolicyTestRole,
} from "./run-policy-tests.ts";

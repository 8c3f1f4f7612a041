import type { PolicyEngine } from "@mayfly/spec";
import type { FakePolicyRule } from "../fake-policy.ts";

/** How the suite makes an engine: the subject writes each rule in its own language. */
export interface PolicyContractSubject {
  readonly name: string;
  /** Throws if the rules do not compile. */
  engineOf(rules: readonly FakePolicyRule[]): PolicyEngine;
}

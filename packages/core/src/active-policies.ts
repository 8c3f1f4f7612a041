import type { InstantMs, PolicyId } from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";

export interface ActivePolicies {
  readonly digest: string;
  readonly activatedAt: InstantMs;
  /** Empty where the set does not compile in this process. */
  readonly policyIds: readonly PolicyId[];
}

/** The set that decides now; null: none is active. */
export async function activePolicies(parts: CoreParts): Promise<ActivePolicies | null> {
  const { policies } = (await parts.catalog.fresh()).snapshot;
  if (policies === null) return null;
  const { digest, activatedAt, sources } = policies;
  const compiled = parts.ports.policyCompiler.compileActive(sources);
  return { digest, activatedAt, policyIds: compiled.ok ? compiled.engine.policyIds : [] };
}

import fc from "fast-check";
import { createCedarPolicyEngine } from "../cedar-policy-engine.ts";
import { admitPolicies } from "../compile.ts";
import type { sliceByScope } from "../slices.ts";
import { arbitraryPolicyTexts, arbitraryRequestInWorld } from "./arbitrary-policy-world.ts";
import { createUnslicedCedar } from "./unsliced-cedar.ts";

export interface ComparedDecisions {
  readonly seen: { permit: number; deny: number; forbidden: number; failed: number };
  /** How many verdicts differ from Cedar's own over the whole set, in any word. */
  readonly differing: number;
}

/**
 * Decides random requests under a random set of `policies` policies, once as the product does it
 * and once by Cedar over the whole set.
 */
export function compareDecisions(options: {
  readonly policies: number;
  readonly requests: number;
  readonly seed: number;
  readonly slicer?: typeof sliceByScope;
}): ComparedDecisions {
  const { policies, seed } = options;
  const [texts = []] = fc.sample(arbitraryPolicyTexts(policies), { numRuns: 1, seed });
  const admitted = admitPolicies(sourcesOf(texts));
  if (!admitted.ok) throw new Error(JSON.stringify(admitted.problems.slice(0, 3)));
  const engine = createCedarPolicyEngine(admitted.policies, options.slicer);
  const unsliced = createUnslicedCedar(texts);
  const seen = { permit: 0, deny: 0, forbidden: 0, failed: 0 };
  let differing = 0;
  for (const request of fc.sample(arbitraryRequestInWorld, { numRuns: options.requests, seed })) {
    const ours = engine.decide(request);
    seen[ours.effect] += 1;
    if (ours.effect === "deny" && ours.why === "forbidden") seen.forbidden += 1;
    if (ours.effect === "deny" && ours.why === "evaluation_error") seen.failed += 1;
    if (JSON.stringify(ours) !== JSON.stringify(unsliced(request))) differing += 1;
  }
  return { seen, differing };
}

/** A source holds 256 KiB at most. */
const POLICIES_PER_SOURCE = 100;

const sourcesOf = (texts: readonly string[]) =>
  Array.from({ length: Math.ceil(texts.length / POLICIES_PER_SOURCE) }, (_, n) => ({
    name: `random${n}.cedar`,
    text: texts.slice(n * POLICIES_PER_SOURCE, (n + 1) * POLICIES_PER_SOURCE).join(""),
  }));

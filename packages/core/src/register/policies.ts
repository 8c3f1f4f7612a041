import {
  BrokerError,
  NO_TERMS,
  type Actor,
  type ChangeTerms,
  type JsonObject,
  type PolicyEngine,
  type PolicyId,
  type PolicyProblem,
  type PolicySource,
  type Precondition,
  type Put,
} from "@mayfly/spec";
import { authorise, requireAuthorised, type Ask } from "../administer/authorise.ts";
import type { Author, IdentityAuthor } from "../administer/author.ts";
import { decidedChange } from "../administer/decided-change.ts";
import type { CoreParts } from "../core-parts.ts";

export interface PoliciesActivated {
  readonly put: Put;
  readonly digest: string;
  readonly policyIds: readonly PolicyId[];
  /** What of them may mean more than was meant; it refuses nothing. */
  readonly warnings: readonly PolicyProblem[];
}

export interface PoliciesPlanned extends PoliciesActivated {
  /** Under them who asks could not activate policies any more; false of whom no policy is asked. */
  readonly locksOut: boolean;
}

/**
 * Compiles and activates a policy set, whole. Throws `config_invalid` with every problem and its
 * position; then nothing changed.
 */
export async function activatePolicies(
  parts: CoreParts,
  sources: readonly PolicySource[],
  by: Author,
  precondition: Precondition = NO_TERMS.precondition,
): Promise<PoliciesActivated> {
  return decidedChange(parts, async ({ version: decidedAt }) => {
    const { actor, decisionId } = await authorise(parts, by, ACTIVATE);
    return activate(parts, actor, sources, { precondition, decisionId, decidedAt });
  });
}

const ACTIVATE: Ask = { action: "activate", resources: [{ kind: "policies" }] };

async function activate(
  parts: CoreParts,
  actor: Actor,
  sources: readonly PolicySource[],
  terms: ChangeTerms,
): Promise<PoliciesActivated> {
  const compiled = parts.ports.policyCompiler.compile(sources);
  if (!compiled.ok) throw notCompiled(compiled.problems);
  const { engine, warnings } = compiled;
  const { digest, policyIds } = engine;
  const put = await parts.ports.catalog.activatePolicies({ digest, sources }, actor, terms);
  await parts.catalog.fresh();
  return { put, digest, policyIds, warnings };
}

/**
 * Activates again what was active before, as its sources compile today. Throws `not_found`, and
 * `config_invalid` where this version reads them no longer.
 */
export async function rollBackPolicies(
  parts: CoreParts,
  digest: string,
  by: Author,
  precondition: Precondition = NO_TERMS.precondition,
): Promise<PoliciesActivated> {
  return decidedChange(parts, async ({ version: decidedAt }) => {
    const { actor, decisionId } = await authorise(parts, by, ACTIVATE);
    const sources = await parts.ports.catalog.policySources(digest);
    if (sources === null) throw noPolicies(digest);
    return activate(parts, actor, sources, { precondition, decisionId, decidedAt });
  });
}

export const noPolicies = (digest: string): BrokerError =>
  new BrokerError("not_found", `No policies with the digest ${digest} were ever active.`, {
    where: "digest",
  });

/** What activating these would do; throws what it would throw. Writes nothing. */
export async function planPolicies(
  parts: CoreParts,
  sources: readonly PolicySource[],
  by: Author,
): Promise<PoliciesPlanned> {
  await requireAuthorised(parts, by, [ACTIVATE]);
  const compiled = parts.ports.policyCompiler.compile(sources);
  if (!compiled.ok) throw notCompiled(compiled.problems);
  const { engine, warnings } = compiled;
  const { digest, policyIds } = engine;
  const locksOut = by.kind === "identity" && !permitsToActivate(engine, by);
  const active = (await parts.catalog.fresh()).snapshot.policies;
  const put = active === null ? "created" : active.digest === digest ? "unchanged" : "updated";
  return { put, digest, policyIds, warnings, locksOut };
}

const permitsToActivate = (engine: PolicyEngine, { workload }: IdentityAuthor): boolean =>
  ACTIVATE.resources
    .map((resource) => engine.administer({ action: ACTIVATE.action, workload, resource }))
    .every(({ effect }) => effect === "permit");

/** As the API answers it. */
export const policyProblemJson = ({ source, policyId, message, line }: PolicyProblem) => ({
  source,
  policy: policyId,
  message,
  line,
});

function notCompiled(problems: readonly PolicyProblem[]): BrokerError {
  const [first] = problems;
  const place = first === undefined ? "" : `${first.source}${lineOf(first.line)}: `;
  const shown = problems.map((problem): JsonObject => policyProblemJson(problem));
  return new BrokerError("config_invalid", `${place}${first?.message ?? "not acceptable"}`, {
    where: first?.source ?? "policies",
    public: { problems: shown },
  });
}

const lineOf = (line: number | null): string => (line === null ? "" : `:${line}`);

import {
  BrokerError,
  type Actor,
  type JsonObject,
  type PolicyId,
  type PolicySource,
  type Put,
} from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";

export interface PoliciesActivated {
  readonly put: Put;
  readonly digest: string;
  readonly policyIds: readonly PolicyId[];
}

/**
 * Compiles and activates a policy set, whole. Throws `config_invalid` with every problem and its
 * position; then nothing changed.
 */
export async function activatePolicies(
  parts: CoreParts,
  sources: readonly PolicySource[],
  actor: Actor,
): Promise<PoliciesActivated> {
  const compiled = parts.ports.policyCompiler.compile(sources);
  if (!compiled.ok) throw notCompiled(compiled.problems);
  const { digest, policyIds } = compiled.engine;
  const put = await parts.ports.catalog.activatePolicies({ digest, sources }, actor);
  await parts.catalog.fresh();
  return { put, digest, policyIds };
}

/** What activating these would do; throws what it would throw. Writes nothing. */
export async function planPolicies(
  parts: CoreParts,
  sources: readonly PolicySource[],
): Promise<PoliciesActivated> {
  const compiled = parts.ports.policyCompiler.compile(sources);
  if (!compiled.ok) throw notCompiled(compiled.problems);
  const { digest, policyIds } = compiled.engine;
  const active = (await parts.catalog.fresh()).snapshot.policies;
  const put = active === null ? "created" : active.digest === digest ? "unchanged" : "updated";
  return { put, digest, policyIds };
}

type Problems = Extract<
  ReturnType<CoreParts["ports"]["policyCompiler"]["compile"]>,
  { ok: false }
>["problems"];

function notCompiled(problems: Problems): BrokerError {
  const [first] = problems;
  const place = first === undefined ? "" : `${first.source}${lineOf(first.line)}: `;
  const shown = problems.map(({ source, policyId, message, line }): JsonObject => ({
    source,
    policy: policyId,
    message,
    line,
  }));
  return new BrokerError("config_invalid", `${place}${first?.message ?? "not acceptable"}`, {
    where: first?.source ?? "policies",
    public: { problems: shown },
  });
}

const lineOf = (line: number | null): string => (line === null ? "" : `:${line}`);

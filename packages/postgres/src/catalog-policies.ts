import {
  idFromUuid,
  NO_TERMS,
  requirePrecondition,
  type Actor,
  type ChangeTerms,
  type InstantMs,
  type JsonObject,
  type PolicyActivation,
  type PolicyBundle,
  type PolicySource,
  type Put,
} from "@mayfly/spec";
import { changeCatalog, UNCHANGED } from "./catalog-change.ts";
import { json, type Sql, type Statement } from "./sql.ts";

/** A bundle that was active before may become so again; its text is kept once. */
export function activatePolicies(
  sql: Sql,
  bundle: Omit<PolicyBundle, "activatedAt">,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<Put> {
  return changeCatalog(sql, actor, terms, async (tx) => {
    const [active] = await tx<{ digest: string | null }[]>`
      SELECT digest FROM mayfly.active_policies`;
    const before = active?.digest ?? null;
    requirePrecondition(terms.precondition, before, "policies");
    if (before === bundle.digest) return UNCHANGED;
    await tx`
      INSERT INTO mayfly.policy_bundles (digest, sources)
      VALUES (${bundle.digest}, ${json(bundle.sources)}::text::jsonb) ON CONFLICT DO NOTHING`;
    await tx`
      UPDATE mayfly.active_policies SET digest = ${bundle.digest}, activated_at = now()`;
    const data: JsonObject = {
      digest: bundle.digest,
      before,
      sources: bundle.sources.map((source) => source.name),
    };
    return {
      put: before === null ? "created" : "updated",
      event: { kind: "policies.activated", data },
    };
  });
}

/** Told by the events, which nobody can alter. */
export async function readPolicyHistory(
  sql: Statement,
  limit: number,
): Promise<readonly PolicyActivation[]> {
  const found = await sql<
    {
      digest: string;
      before: string | null;
      at: InstantMs;
      actor: Actor;
      decision_id: string | null;
    }[]
  >`
    SELECT e.data ->> 'digest' AS digest, e.data ->> 'before' AS before, e.at, e.actor, e.decision_id
    FROM mayfly.events AS e WHERE e.kind = 'policies.activated' ORDER BY e.id DESC
    LIMIT ${limit}::integer`;
  return found.map(({ decision_id, ...row }) => ({
    ...row,
    decisionId: decision_id === null ? null : idFromUuid("decision", decision_id),
  }));
}

export async function readPolicySources(
  sql: Statement,
  digest: string,
): Promise<readonly PolicySource[] | null> {
  const [row] = await sql<{ sources: readonly PolicySource[] }[]>`
    SELECT sources FROM mayfly.policy_bundles WHERE digest = ${digest}`;
  return row?.sources ?? null;
}

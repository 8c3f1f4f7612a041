import { isDeepStrictEqual } from "node:util";
import {
  BrokerError,
  type Actor,
  type JsonObject,
  type PolicyBundle,
  type Put,
  type Role,
  type RoleName,
  type TrustRoot,
  type TrustRootName,
} from "@mayfly/spec";
import { noBackend } from "./catalog-backends.ts";
import { changeCatalog, UNCHANGED } from "./catalog-change.ts";
import { json, type Sql } from "./sql.ts";

export function putRole(sql: Sql, role: Role, actor: Actor): Promise<Put> {
  return changeCatalog(sql, actor, async (tx) => {
    const [backend] = await tx`
      SELECT id FROM mayfly.backends WHERE id = ${role.backendId} AND deleted_at IS NULL`;
    if (backend === undefined) throw noBackend(role.backendId);
    const [old] = await tx<{ definition: Role; deleted: boolean }[]>`
      SELECT definition, deleted_at IS NOT NULL AS deleted FROM mayfly.roles
      WHERE name = ${role.name}`;
    const live = old !== undefined && !old.deleted;
    if (live && isDeepStrictEqual(old.definition, role)) return UNCHANGED;
    await tx`
      INSERT INTO mayfly.roles (name, backend_id, definition)
      VALUES (${role.name}, ${role.backendId}, ${json(role)}::text::jsonb)
      ON CONFLICT (name) DO UPDATE SET backend_id = excluded.backend_id,
        definition = excluded.definition, updated_at = now(), deleted_at = NULL`;
    return {
      put: live ? "updated" : "created",
      event: { kind: "role.put", data: { role: { ...role } } },
    };
  });
}

export async function deleteRole(sql: Sql, name: RoleName, actor: Actor): Promise<void> {
  await changeCatalog(sql, actor, async (tx) => {
    const gone = await tx`
      UPDATE mayfly.roles SET deleted_at = now(), updated_at = now()
      WHERE name = ${name} AND deleted_at IS NULL`;
    if (gone.count === 0) {
      throw new BrokerError("not_found", "There is no such role.", { where: name });
    }
    return { put: "updated", event: { kind: "role.deleted", data: { name } } };
  });
}

export function putTrustRoot(sql: Sql, root: TrustRoot, actor: Actor): Promise<Put> {
  return changeCatalog(sql, actor, async (tx) => {
    const [old] = await tx<{ definition: TrustRoot; deleted: boolean }[]>`
      SELECT definition, deleted_at IS NOT NULL AS deleted FROM mayfly.trust_roots
      WHERE name = ${root.name}`;
    const live = old !== undefined && !old.deleted;
    if (live && isDeepStrictEqual(old.definition, root)) return UNCHANGED;
    await tx`
      INSERT INTO mayfly.trust_roots (name, definition)
      VALUES (${root.name}, ${json(root)}::text::jsonb)
      ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, updated_at = now(),
        deleted_at = NULL`;
    return {
      put: live ? "updated" : "created",
      event: { kind: "trust.put", data: { root: { ...root } } },
    };
  });
}

export async function deleteTrustRoot(sql: Sql, name: TrustRootName, actor: Actor): Promise<void> {
  await changeCatalog(sql, actor, async (tx) => {
    const gone = await tx`
      UPDATE mayfly.trust_roots SET deleted_at = now(), updated_at = now()
      WHERE name = ${name} AND deleted_at IS NULL`;
    if (gone.count === 0) {
      throw new BrokerError("not_found", "There is no such trust root.", { where: name });
    }
    return { put: "updated", event: { kind: "trust.deleted", data: { name } } };
  });
}

/** A bundle that was active before may become so again; its text is kept once. */
export function activatePolicies(
  sql: Sql,
  bundle: Omit<PolicyBundle, "activatedAt">,
  actor: Actor,
): Promise<Put> {
  return changeCatalog(sql, actor, async (tx) => {
    const [active] = await tx<{ digest: string | null }[]>`
      SELECT digest FROM mayfly.active_policies`;
    const before = active?.digest ?? null;
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

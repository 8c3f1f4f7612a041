import { isDeepStrictEqual } from "node:util";
import {
  BrokerError,
  NO_TERMS,
  requirePrecondition,
  tagOf,
  type Actor,
  type ChangeTerms,
  type Put,
  type Role,
  type RoleName,
} from "@mayfly/spec";
import { noBackend } from "./catalog-backends.ts";
import { changeCatalog, UNCHANGED } from "./catalog-change.ts";
import { json, type Sql, type Statement } from "./sql.ts";

/** As stored: a role that an earlier version wrote has no `enabled`. */
export type StoredRole = Omit<Role, "enabled"> & { readonly enabled?: boolean };
export const roleOfStored = (stored: StoredRole): Role => ({
  ...stored,
  enabled: stored.enabled ?? true,
});

interface CurrentRole {
  readonly role: Role;
  readonly revision: number;
  readonly deleted: boolean;
}

async function readCurrent(sql: Statement, name: RoleName): Promise<CurrentRole | null> {
  const [row] = await sql<{ definition: StoredRole; revision: number; deleted: boolean }[]>`
    SELECT definition, revision, deleted_at IS NOT NULL AS deleted FROM mayfly.roles
    WHERE name = ${name}`;
  return row === undefined ? null : { ...row, role: roleOfStored(row.definition) };
}

const currentTag = (current: CurrentRole | null): string | null =>
  current === null || current.deleted
    ? null
    : tagOf({ revision: current.revision, enabled: current.role.enabled });

export function putRole(
  sql: Sql,
  role: Role,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<Put> {
  return changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, role.name);
    requirePrecondition(terms.precondition, currentTag(current), `role ${role.name}`);
    const [backend] = await tx`
      SELECT id FROM mayfly.backends WHERE id = ${role.backendId} AND deleted_at IS NULL`;
    if (backend === undefined) throw noBackend(role.backendId);
    const live = current !== null && !current.deleted;
    if (live && isDeepStrictEqual(current.role, role)) return UNCHANGED;
    const revision = await write(tx, role);
    return {
      put: live ? "updated" : "created",
      event: {
        kind: "role.put",
        data: { role: { ...role }, revision, before: live ? current.revision : null },
      },
    };
  });
}

/** Answers the revision, which the table counts itself. */
async function write(sql: Statement, role: Role): Promise<number> {
  const [row] = await sql<{ revision: number }[]>`
    INSERT INTO mayfly.roles (name, backend_id, definition)
    VALUES (${role.name}, ${role.backendId}, ${json(role)}::text::jsonb)
    ON CONFLICT (name) DO UPDATE SET backend_id = excluded.backend_id,
      definition = excluded.definition, updated_at = now(), deleted_at = NULL
    RETURNING revision`;
  return row?.revision ?? 1;
}

export async function setRoleEnabled(
  sql: Sql,
  name: RoleName,
  enabled: boolean,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<void> {
  await changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, name);
    requirePrecondition(terms.precondition, currentTag(current), `role ${name}`);
    if (current === null || current.deleted) throw noRole(name);
    if (current.role.enabled === enabled) return UNCHANGED;
    const revision = await write(tx, { ...current.role, enabled });
    const data = { name, revision, before: current.revision };
    return {
      put: "updated",
      event: { kind: enabled ? "role.enabled" : "role.disabled", data },
    };
  });
}

export async function deleteRole(
  sql: Sql,
  name: RoleName,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<void> {
  await changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, name);
    requirePrecondition(terms.precondition, currentTag(current), `role ${name}`);
    if (current === null || current.deleted) throw noRole(name);
    await tx`
      UPDATE mayfly.roles SET deleted_at = now(), updated_at = now() WHERE name = ${name}`;
    const data = { name, before: current.revision };
    return { put: "updated", event: { kind: "role.deleted", data } };
  });
}

const noRole = (name: RoleName): BrokerError =>
  new BrokerError("not_found", "There is no such role.", { where: name });

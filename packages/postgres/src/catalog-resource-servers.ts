import { isDeepStrictEqual } from "node:util";
import {
  BrokerError,
  NO_TERMS,
  requirePrecondition,
  tagOf,
  type Actor,
  type ChangeTerms,
  type Put,
  type ResourceServer,
  type ResourceServerName,
} from "@mayfly/spec";
import { changeCatalog, UNCHANGED } from "./catalog-change.ts";
import { json, type Sql, type Statement } from "./sql.ts";

interface CurrentServer {
  readonly definition: ResourceServer;
  readonly revision: number;
}

/** As it is, under the precondition; null where it is not there. */
async function readCurrent(
  sql: Statement,
  name: ResourceServerName,
  { precondition }: ChangeTerms,
): Promise<CurrentServer | null> {
  const [row] = await sql<CurrentServer[]>`
    SELECT definition, revision FROM mayfly.resource_servers
    WHERE name = ${name} AND deleted_at IS NULL`;
  const current = row ?? null;
  const tag =
    current === null
      ? null
      : tagOf({ revision: current.revision, enabled: current.definition.enabled });
  requirePrecondition(precondition, tag, `resource-server ${name}`);
  return current;
}

export function putResourceServer(
  sql: Sql,
  server: ResourceServer,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<Put> {
  return changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, server.name, terms);
    if (current !== null && isDeepStrictEqual(current.definition, server)) return UNCHANGED;
    const revision = await write(tx, server);
    const data = { server: { ...server }, revision, before: current?.revision ?? null };
    return {
      put: current === null ? "created" : "updated",
      event: { kind: "resource_server.put", data },
    };
  });
}

/** Answers the revision, which the table counts itself. */
async function write(sql: Statement, server: ResourceServer): Promise<number> {
  const [row] = await sql<{ revision: number }[]>`
    INSERT INTO mayfly.resource_servers (name, definition)
    VALUES (${server.name}, ${json(server)}::text::jsonb)
    ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, updated_at = now(),
      deleted_at = NULL
    RETURNING revision`;
  return row?.revision ?? 1;
}

export async function setResourceServerEnabled(
  sql: Sql,
  name: ResourceServerName,
  enabled: boolean,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<void> {
  await changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, name, terms);
    if (current === null) throw noServer(name);
    if (current.definition.enabled === enabled) return UNCHANGED;
    const revision = await write(tx, { ...current.definition, enabled });
    const kind = enabled ? "resource_server.enabled" : "resource_server.disabled";
    return {
      put: "updated",
      event: { kind, data: { name, revision, before: current.revision } },
    };
  });
}

export async function deleteResourceServer(
  sql: Sql,
  name: ResourceServerName,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<void> {
  await changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, name, terms);
    if (current === null) throw noServer(name);
    await tx`
      UPDATE mayfly.resource_servers SET deleted_at = now(), updated_at = now()
      WHERE name = ${name}`;
    const data = { name, before: current.revision };
    return { put: "updated", event: { kind: "resource_server.deleted", data } };
  });
}

const noServer = (name: ResourceServerName): BrokerError =>
  new BrokerError("not_found", "There is no such resource server.", { where: name });

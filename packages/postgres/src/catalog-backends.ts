import { isDeepStrictEqual } from "node:util";
import {
  BrokerError,
  NO_TERMS,
  requirePrecondition,
  tagOf,
  type Actor,
  type BackendId,
  type ChangeTerms,
  type InstantMs,
  type JsonObject,
  type Put,
  type RegisteredBackend,
} from "@mayfly/spec";
import {
  changeCatalog,
  refuseIfLeasesLive,
  UNCHANGED,
  whileNothingLives,
  type Change,
} from "./catalog-change.ts";
import { hex, json, type Sql, type Statement, type Transaction } from "./sql.ts";

export interface BackendRow {
  readonly id: string;
  readonly type: string;
  readonly revision: number;
  readonly enabled: boolean;
  readonly sealed_config: Uint8Array;
  readonly described_config: JsonObject;
  readonly upstream_identity: string;
  readonly updated_at: InstantMs;
  readonly deleted: boolean;
}
type NewBackend = Omit<RegisteredBackend, "updatedAt">;

const readCurrent = async (sql: Statement, id: BackendId): Promise<BackendRow | null> => {
  const [row] = await sql<BackendRow[]>`
    SELECT b.id, b.type, b.revision, b.enabled, r.sealed_config, r.described_config,
      b.upstream_identity, b.updated_at, b.deleted_at IS NOT NULL AS deleted
    FROM mayfly.backends AS b
    JOIN mayfly.backend_revisions AS r ON r.backend_id = b.id AND r.revision = b.revision
    WHERE b.id = ${id}`;
  return row ?? null;
};

const currentTag = (current: BackendRow | null): string | null =>
  current === null || current.deleted ? null : tagOf(current);

export async function putBackend(
  sql: Sql,
  backend: NewBackend,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<Put> {
  const put = (): Promise<Put> =>
    changeCatalog(sql, actor, terms, (tx) => applyBackend(tx, backend, terms));
  const current = await readCurrent(sql, backend.id);
  const moves =
    current !== null && !current.deleted && current.upstream_identity !== backend.upstreamIdentity;
  return moves ? whileNothingLives(sql, backend.id, put) : put();
}

async function applyBackend(
  sql: Transaction,
  backend: NewBackend,
  { precondition }: ChangeTerms,
): Promise<Change> {
  const current = await readCurrent(sql, backend.id);
  requirePrecondition(precondition, currentTag(current), `backend ${backend.id}`);
  if (current !== null && !current.deleted && isSame(current, backend)) return UNCHANGED;
  const next = (current?.revision ?? 0) + 1;
  if (backend.revision !== next) {
    const message = `The next revision of this backend is ${next}, not ${backend.revision}.`;
    throw new BrokerError("conflict", message, {
      where: backend.id,
      public: { next_revision: next },
    });
  }
  const created = current === null || current.deleted;
  if (!created && current.type !== backend.type) {
    const message = `The backend is of type ${current.type}; another type is another backend.`;
    throw new BrokerError("conflict", message, { where: backend.id });
  }
  if (!created && current.upstream_identity !== backend.upstreamIdentity) {
    await refuseIfLeasesLive(sql, backend.id, "A backend's upstream identity does not change");
  }
  await writeBackend(sql, backend);
  const { id, type, revision, enabled, describedConfig, upstreamIdentity } = backend;
  return {
    put: created ? "created" : "updated",
    event: {
      kind: created ? "backend.registered" : "backend.updated",
      data: {
        id,
        type,
        revision,
        before: created ? null : current.revision,
        enabled,
        describedConfig,
        upstreamIdentity,
      },
    },
  };
}

const isSame = (current: BackendRow, backend: NewBackend): boolean =>
  current.revision === backend.revision &&
  current.type === backend.type &&
  current.enabled === backend.enabled &&
  current.upstream_identity === backend.upstreamIdentity &&
  isDeepStrictEqual(current.described_config, backend.describedConfig) &&
  Buffer.compare(current.sealed_config, backend.sealedConfig) === 0;

const writeBackend = (sql: Transaction, backend: NewBackend) =>
  Promise.all([
    sql`
      INSERT INTO mayfly.backends (id, type, revision, enabled, upstream_identity)
      VALUES (${backend.id}, ${backend.type}, ${backend.revision}, ${backend.enabled},
        ${backend.upstreamIdentity})
      ON CONFLICT (id) DO UPDATE SET type = excluded.type, revision = excluded.revision,
        enabled = excluded.enabled, upstream_identity = excluded.upstream_identity,
        updated_at = now(), deleted_at = NULL`.execute(),
    sql`
      INSERT INTO mayfly.backend_revisions
        (backend_id, revision, type, sealed_config, described_config, upstream_identity)
      VALUES (${backend.id}, ${backend.revision}, ${backend.type},
        decode(${hex(backend.sealedConfig)}, 'hex'),
        ${json(backend.describedConfig)}::text::jsonb, ${backend.upstreamIdentity})`.execute(),
  ]);

export async function setBackendEnabled(
  sql: Sql,
  id: BackendId,
  enabled: boolean,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<void> {
  await changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, id);
    requirePrecondition(terms.precondition, currentTag(current), `backend ${id}`);
    if (current === null || current.deleted) throw noBackend(id);
    if (current.enabled === enabled) return UNCHANGED;
    await tx`UPDATE mayfly.backends SET enabled = ${enabled}, updated_at = now() WHERE id = ${id}`;
    const kind = enabled ? "backend.enabled" : "backend.disabled";
    return { put: "updated", event: { kind, data: { id, revision: current.revision } } };
  });
}

export async function deleteBackend(
  sql: Sql,
  id: BackendId,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<void> {
  await whileNothingLives(sql, id, () =>
    changeCatalog(sql, actor, terms, async (tx) => {
      const current = await readCurrent(tx, id);
      requirePrecondition(terms.precondition, currentTag(current), `backend ${id}`);
      if (current === null || current.deleted) throw noBackend(id);
      await refuseIfLeasesLive(tx, id, "A backend is not deleted");
      const [role] = await tx<{ name: string }[]>`
        SELECT name FROM mayfly.roles WHERE backend_id = ${id} AND deleted_at IS NULL LIMIT 1`;
      if (role !== undefined) {
        const message = `A backend is not deleted while it has roles, such as ${role.name}.`;
        throw new BrokerError("conflict", message, { where: id });
      }
      await tx`
        UPDATE mayfly.backends SET deleted_at = now(), enabled = false, updated_at = now()
        WHERE id = ${id}`;
      return {
        put: "updated",
        event: { kind: "backend.deleted", data: { id, before: current.revision } },
      };
    }),
  );
}

export const noBackend = (id: string): BrokerError =>
  new BrokerError("not_found", "There is no such backend.", { where: id });

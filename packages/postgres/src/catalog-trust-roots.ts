import { isDeepStrictEqual } from "node:util";
import {
  BrokerError,
  NO_TERMS,
  refuseRivalTrustRoot,
  requirePrecondition,
  tagOf,
  type Actor,
  type ChangeTerms,
  type Put,
  type TrustRoot,
  type TrustRootName,
} from "@mayfly/spec";
import { forgetBundleSequences } from "./bundle-sequences.ts";
import { changeCatalog, UNCHANGED } from "./catalog-change.ts";
import { json, type Sql, type Statement } from "./sql.ts";

interface CurrentRoot {
  readonly definition: TrustRoot;
  readonly revision: number;
  readonly deleted: boolean;
}

async function readCurrent(sql: Statement, name: TrustRootName): Promise<CurrentRoot | null> {
  const [row] = await sql<CurrentRoot[]>`
    SELECT definition, revision, deleted_at IS NOT NULL AS deleted FROM mayfly.trust_roots
    WHERE name = ${name}`;
  return row ?? null;
}

const currentTag = (current: CurrentRoot | null): string | null =>
  current === null || current.deleted
    ? null
    : tagOf({ revision: current.revision, enabled: current.definition.enabled });

/** In the transaction that holds the catalogue's lock: two rivals cannot both see no rival. */
async function refuseRival(sql: Statement, root: TrustRoot): Promise<void> {
  if (!root.enabled) return;
  const others = await sql<{ definition: TrustRoot }[]>`
    SELECT definition FROM mayfly.trust_roots WHERE deleted_at IS NULL AND name <> ${root.name}`;
  refuseRivalTrustRoot(
    root,
    others.map(({ definition }) => definition),
  );
}

export function putTrustRoot(
  sql: Sql,
  root: TrustRoot,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<Put> {
  return changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, root.name);
    requirePrecondition(terms.precondition, currentTag(current), `trust ${root.name}`);
    const live = current !== null && !current.deleted;
    if (live && isDeepStrictEqual(current.definition, root)) return UNCHANGED;
    await refuseRival(tx, root);
    const revision = await write(tx, root);
    return {
      put: live ? "updated" : "created",
      event: {
        kind: "trust.put",
        data: { root: { ...root }, revision, before: live ? current.revision : null },
      },
    };
  });
}

/** Answers the revision, which the table counts itself. */
async function write(sql: Statement, root: TrustRoot): Promise<number> {
  const [row] = await sql<{ revision: number }[]>`
    INSERT INTO mayfly.trust_roots (name, definition)
    VALUES (${root.name}, ${json(root)}::text::jsonb)
    ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, updated_at = now(),
      deleted_at = NULL
    RETURNING revision`;
  return row?.revision ?? 1;
}

export async function setTrustRootEnabled(
  sql: Sql,
  name: TrustRootName,
  enabled: boolean,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<void> {
  await changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, name);
    requirePrecondition(terms.precondition, currentTag(current), `trust ${name}`);
    if (current === null || current.deleted) throw noTrustRoot(name);
    if (current.definition.enabled === enabled) return UNCHANGED;
    const root = { ...current.definition, enabled };
    await refuseRival(tx, root);
    const data = { name, revision: await write(tx, root), before: current.revision };
    return {
      put: "updated",
      event: { kind: enabled ? "trust.enabled" : "trust.disabled", data },
    };
  });
}

export async function deleteTrustRoot(
  sql: Sql,
  name: TrustRootName,
  actor: Actor,
  terms: ChangeTerms = NO_TERMS,
): Promise<void> {
  await changeCatalog(sql, actor, terms, async (tx) => {
    const current = await readCurrent(tx, name);
    requirePrecondition(terms.precondition, currentTag(current), `trust ${name}`);
    if (current === null || current.deleted) throw noTrustRoot(name);
    await tx`
      UPDATE mayfly.trust_roots SET deleted_at = now(), updated_at = now() WHERE name = ${name}`;
    await forgetBundleSequences(tx, name);
    const data = { name, before: current.revision };
    return { put: "updated", event: { kind: "trust.deleted", data } };
  });
}

const noTrustRoot = (name: TrustRootName): BrokerError =>
  new BrokerError("not_found", "There is no such trust root.", { where: name });

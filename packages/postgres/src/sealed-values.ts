import {
  bindingOf,
  idFromUuid,
  InvalidInput,
  SEALED_KINDS,
  uuidOfId,
  parseId,
  type SealedKind,
  type SealedValue,
  type SealedValues,
} from "@mayfly/spec";
import { appendEvents } from "./append-events.ts";
import { hex, rows, type Sql, type Statement, type Transaction } from "./sql.ts";

const PAGE_MAX = 1000;
/** `kind:key`, in this order of kinds; a backend's key is `id:revision`. */
const PLACE = new RegExp(`^(${SEALED_KINDS.join("|")}):(.*)$`);

interface SealedRow {
  readonly key: string;
  readonly sealed: Uint8Array;
}

/** Pages of one kind until it has no more, then of the next. */
export async function readSealedPage(
  sql: Statement,
  after: string | null,
  limit: number,
): Promise<readonly SealedValue[]> {
  const most = Math.min(limit, PAGE_MAX);
  const found: SealedValue[] = [];
  const [, afterKind = SEALED_KINDS[0], afterKey = ""] = placeOf(after);
  for (const kind of SEALED_KINDS.slice(SEALED_KINDS.findIndex((each) => each === afterKind))) {
    if (found.length >= most) break;
    const from = kind === afterKind ? afterKey : "";
    const page = await READERS[kind](sql, from, most - found.length);
    found.push(...page.map((row) => valueOf(kind, row)));
  }
  return found;
}

function placeOf(after: string | null): readonly string[] {
  if (after === null) return [];
  const found = PLACE.exec(after);
  if (found !== null) return found;
  throw new InvalidInput("after: expected the `next` of the answer before", { where: "after" });
}

function valueOf(kind: SealedKind, { key, sealed }: SealedRow): SealedValue {
  switch (kind) {
    case "lease": {
      const id = idFromUuid("lease", key);
      return { kind, place: `lease:${id}`, binding: bindingOf.leaseHandle(id), sealed };
    }
    case "backend": {
      const [id, revision] = backendKey(key);
      const binding = bindingOf.backendConfig(id, revision);
      return { kind, place: `backend:${key}`, binding, sealed };
    }
    case "signing_key":
      return { kind, place: `signing_key:${key}`, binding: bindingOf.signingKey(key), sealed };
    case "backend_key": {
      const [id, kid] = backendKeyPlace(key);
      const binding = bindingOf.backendKey(id, kid);
      return { kind, place: `backend_key:${key}`, binding, sealed };
    }
  }
}

const backendKey = (key: string): [string, number] => {
  const at = key.lastIndexOf(":");
  return [key.slice(0, at), Number(key.slice(at + 1))];
};

/** A key id has no colon, nor has a backend's. */
const backendKeyPlace = (key: string): [string, string] => {
  const at = key.lastIndexOf(":");
  return [key.slice(0, at), key.slice(at + 1)];
};

const READERS: Readonly<
  Record<SealedKind, (sql: Statement, after: string, limit: number) => Promise<SealedRow[]>>
> = {
  lease: (sql, after, limit) => {
    const from = after === "" ? null : uuidOfId(parseId("lease", after, "after"));
    return sql<SealedRow[]>`
      SELECT id AS key, sealed_handle AS sealed FROM mayfly.leases
      WHERE state <> 'ended' AND sealed_handle IS NOT NULL
        AND (${from}::uuid IS NULL OR id > ${from}::uuid)
      ORDER BY id LIMIT ${limit}::integer`.execute();
  },
  backend: (sql, after, limit) => {
    const [id, revision] = after === "" ? ["", 0] : backendKey(after);
    return sql<SealedRow[]>`
      SELECT backend_id || ':' || revision AS key, sealed_config AS sealed
      FROM mayfly.backend_revisions
      WHERE (backend_id, revision) > (${id}, ${revision}::integer)
      ORDER BY backend_id, revision LIMIT ${limit}::integer`.execute();
  },
  signing_key: (sql, after, limit) =>
    sql<SealedRow[]>`
      SELECT kid AS key, sealed_private_jwk AS sealed FROM mayfly.signing_keys
      WHERE kid > ${after} ORDER BY kid LIMIT ${limit}::integer`.execute(),
  backend_key: (sql, after, limit) => {
    const [id, kid] = after === "" ? ["", ""] : backendKeyPlace(after);
    return sql<SealedRow[]>`
      SELECT backend_id || ':' || kid AS key, sealed_private_jwk AS sealed
      FROM mayfly.backend_signing_keys
      WHERE (backend_id, kid) > (${id}, ${kid})
      ORDER BY backend_id, kid LIMIT ${limit}::integer`.execute();
  },
};

/** Each by comparing with what was read; a lease that has ended meanwhile is left as it is. */
export function replaceSealed(
  sql: Sql,
  ...[resealed, keyId, actor]: Parameters<SealedValues["replace"]>
): Promise<number> {
  return sql.begin(async (tx) => {
    const of = (kind: SealedKind): Resealed => resealed.filter(({ value }) => value.kind === kind);
    const leases = await replaceHandles(tx, of("lease"));
    const backends = await replaceConfigs(tx, of("backend"));
    const signingKeys = await replaceKeys(tx, of("signing_key"));
    const backendKeys = await replaceBackendKeys(tx, of("backend_key"));
    const replaced = leases + backends + signingKeys + backendKeys;
    if (replaced > 0) {
      const data = { keyId, leases, backends, signingKeys, backendKeys };
      await appendEvents(tx, [{ kind: "sealing.resealed", actor, data }]);
    }
    return replaced;
  });
}

type Resealed = Parameters<SealedValues["replace"]>[0];
const keyOf = ({ place }: SealedValue): string => place.slice(place.indexOf(":") + 1);
const bytesOf = ({ value, sealed }: Resealed[number]) => ({
  was: hex(value.sealed),
  sealed: hex(sealed),
});

async function replaceHandles(sql: Transaction, resealed: Resealed): Promise<number> {
  if (resealed.length === 0) return 0;
  const changes = resealed.map((each) => ({
    id: uuidOfId(parseId("lease", keyOf(each.value), "place")),
    ...bytesOf(each),
  }));
  const replaced = await sql`
    WITH change AS MATERIALIZED (
      SELECT * FROM jsonb_to_recordset(${rows(changes)}::text::jsonb)
        AS c (id uuid, was text, sealed text)
    ), held AS MATERIALIZED (
      SELECT l.id FROM mayfly.leases AS l WHERE l.id IN (SELECT id FROM change)
      ORDER BY l.id FOR NO KEY UPDATE OF l
    )
    UPDATE mayfly.leases AS l SET sealed_handle = decode(c.sealed, 'hex')
    FROM change AS c JOIN held USING (id)
    WHERE l.id = c.id AND l.state <> 'ended' AND l.sealed_handle = decode(c.was, 'hex')`;
  return replaced.count;
}

async function replaceConfigs(sql: Transaction, resealed: Resealed): Promise<number> {
  if (resealed.length === 0) return 0;
  const changes = resealed.map((each) => {
    const [id, revision] = backendKey(keyOf(each.value));
    return { id, revision, ...bytesOf(each) };
  });
  const replaced = await sql`
    UPDATE mayfly.backend_revisions AS b SET sealed_config = decode(c.sealed, 'hex')
    FROM jsonb_to_recordset(${rows(changes)}::text::jsonb)
      AS c (id text, revision integer, was text, sealed text)
    WHERE b.backend_id = c.id AND b.revision = c.revision
      AND b.sealed_config = decode(c.was, 'hex')`;
  return replaced.count;
}

async function replaceKeys(sql: Transaction, resealed: Resealed): Promise<number> {
  if (resealed.length === 0) return 0;
  const changes = resealed.map((each) => ({ kid: keyOf(each.value), ...bytesOf(each) }));
  const replaced = await sql`
    UPDATE mayfly.signing_keys AS k SET sealed_private_jwk = decode(c.sealed, 'hex')
    FROM jsonb_to_recordset(${rows(changes)}::text::jsonb) AS c (kid text, was text, sealed text)
    WHERE k.kid = c.kid AND k.sealed_private_jwk = decode(c.was, 'hex')`;
  return replaced.count;
}

async function replaceBackendKeys(sql: Transaction, resealed: Resealed): Promise<number> {
  if (resealed.length === 0) return 0;
  const changes = resealed.map((each) => {
    const [id, kid] = backendKeyPlace(keyOf(each.value));
    return { id, kid, ...bytesOf(each) };
  });
  const replaced = await sql`
    UPDATE mayfly.backend_signing_keys AS k SET sealed_private_jwk = decode(c.sealed, 'hex')
    FROM jsonb_to_recordset(${rows(changes)}::text::jsonb)
      AS c (id text, kid text, was text, sealed text)
    WHERE k.backend_id = c.id AND k.kid = c.kid AND k.sealed_private_jwk = decode(c.was, 'hex')`;
  return replaced.count;
}

import {
  RETIRED_BEFORE_SECONDS,
  type Actor,
  type BackendId,
  type DurationSeconds,
  type SigningKeyStore,
  type StoredSigningKey,
} from "@mayfly/spec";
import { appendEvents, BROKER } from "./append-events.ts";
import {
  createdBy,
  KEYS_MAX,
  retiredBy,
  storedKeyOf,
  type KeyRow,
  type RetiredRow,
} from "./signing-keys.ts";
import { hex, json, type Sql, type Statement, type Transaction } from "./sql.ts";

/** As the keys of task tokens are kept, each backend's apart. */
export async function listBackendKeys(
  sql: Statement,
  backendId: BackendId,
): Promise<readonly StoredSigningKey[]> {
  const keys = await sql<KeyRow[]>`
    SELECT kid, public_jwk, sealed_private_jwk, created_at, signs_from_at, verifies_until_at
    FROM mayfly.backend_signing_keys
    WHERE backend_id = ${backendId}
      AND (verifies_until_at IS NULL OR verifies_until_at > now() - interval '1 day')
    ORDER BY added DESC LIMIT ${KEYS_MAX}::integer`;
  return keys.map(storedKeyOf);
}

export function addBackendKey(
  sql: Sql,
  backendId: BackendId,
  key: StoredSigningKey,
  expectedNewestKid: string | null,
  oldVerifyFor: DurationSeconds,
  actor: Actor = BROKER,
): ReturnType<SigningKeyStore["add"]> {
  return sql.begin(async (tx) => {
    if (!(await lockNewest(tx, backendId, expectedNewestKid))) return false;
    const retired = await tx<RetiredRow[]>`
      UPDATE mayfly.backend_signing_keys
      SET verifies_until_at = mayfly.instant(${key.signsFromAt}::float8)
        + make_interval(secs => ${oldVerifyFor}::float8)
      WHERE backend_id = ${backendId} AND verifies_until_at IS NULL
      RETURNING kid, verifies_until_at`;
    await insertNewest(tx, backendId, key);
    await appendEvents(tx, [
      ...retired.map((row) => retiredBy(actor, row, backendId)),
      createdBy(actor, key, backendId),
    ]);
    return true;
  });
}

/** At once, by the server's clock and by any that is a little behind it. */
export function retireBackendKey(
  sql: Sql,
  backendId: BackendId,
  ...[kid, replacement, expectedNewestKid, oldVerifyFor, actor]: Parameters<
    SigningKeyStore["retire"]
  >
): Promise<boolean> {
  return sql.begin(async (tx) => {
    if (!(await lockNewest(tx, backendId, expectedNewestKid))) return false;
    const retired = await tx<RetiredRow[]>`
      UPDATE mayfly.backend_signing_keys
      SET verifies_until_at = least(verifies_until_at, now() + make_interval(
        secs => CASE WHEN kid = ${kid} OR signs_from_at > now()
          THEN ${-RETIRED_BEFORE_SECONDS}::float8 ELSE ${oldVerifyFor}::float8 END))
      WHERE backend_id = ${backendId}
        AND (verifies_until_at IS NULL OR verifies_until_at > now() OR kid = ${kid})
      RETURNING kid, verifies_until_at`;
    await insertNewest(tx, backendId, replacement);
    await appendEvents(tx, [
      ...retired.map((row) => retiredBy(actor, row, backendId)),
      createdBy(actor, replacement, backendId),
    ]);
    return true;
  });
}

/** The row is there from the first attempt on, so that there is something to lock. */
async function lockNewest(
  sql: Transaction,
  backendId: BackendId,
  expected: string | null,
): Promise<boolean> {
  await sql`
    INSERT INTO mayfly.newest_backend_signing_key (backend_id) VALUES (${backendId})
    ON CONFLICT DO NOTHING`;
  const [newest] = await sql`
    SELECT FROM mayfly.newest_backend_signing_key
    WHERE backend_id = ${backendId} AND kid IS NOT DISTINCT FROM ${expected} FOR UPDATE`;
  return newest !== undefined;
}

async function insertNewest(
  sql: Transaction,
  backendId: BackendId,
  key: StoredSigningKey,
): Promise<void> {
  await sql`
    INSERT INTO mayfly.backend_signing_keys (backend_id, kid, public_jwk, sealed_private_jwk,
      created_at, signs_from_at, verifies_until_at)
    VALUES (${backendId}, ${key.kid}, ${json(key.publicJwk)}::text::jsonb,
      decode(${hex(key.sealedPrivateJwk)}, 'hex'), mayfly.instant(${key.createdAt}::float8),
      mayfly.instant(${key.signsFromAt}::float8), mayfly.instant(${key.verifiesUntilAt}::float8))`;
  await sql`
    UPDATE mayfly.newest_backend_signing_key SET kid = ${key.kid}
    WHERE backend_id = ${backendId}`;
}

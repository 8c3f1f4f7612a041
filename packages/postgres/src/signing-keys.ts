import {
  RETIRED_BEFORE_SECONDS,
  type Actor,
  type BackendId,
  type DurationSeconds,
  type InstantMs,
  type JsonObject,
  type SigningKeyStore,
  type StoredSigningKey,
} from "@mayfly/spec";
import { appendEvents, BROKER, type NewEvent } from "./append-events.ts";
import { hex, json, type Sql, type Statement, type Transaction } from "./sql.ts";

export const KEYS_MAX = 100;

export interface KeyRow {
  readonly kid: string;
  readonly public_jwk: JsonObject;
  readonly sealed_private_jwk: Uint8Array;
  readonly created_at: InstantMs;
  readonly signs_from_at: InstantMs;
  readonly verifies_until_at: InstantMs | null;
}

export async function listSigningKeys(sql: Statement): Promise<readonly StoredSigningKey[]> {
  const keys = await sql<KeyRow[]>`
    SELECT kid, public_jwk, sealed_private_jwk, created_at, signs_from_at, verifies_until_at
    FROM mayfly.signing_keys
    WHERE verifies_until_at IS NULL OR verifies_until_at > now() - interval '1 day'
    ORDER BY added DESC LIMIT ${KEYS_MAX}::integer`;
  return keys.map(storedKeyOf);
}

export const storedKeyOf = (row: KeyRow): StoredSigningKey => ({
  kid: row.kid,
  publicJwk: row.public_jwk,
  sealedPrivateJwk: row.sealed_private_jwk,
  createdAt: row.created_at,
  signsFromAt: row.signs_from_at,
  verifiesUntilAt: row.verifies_until_at,
});

/** The row of the newest key is what two processes that rotate at once compare and swap. */
export function addSigningKey(
  sql: Sql,
  key: StoredSigningKey,
  expectedNewestKid: string | null,
  oldVerifyFor: DurationSeconds,
  actor: Actor = BROKER,
): ReturnType<SigningKeyStore["add"]> {
  return sql.begin(async (tx) => {
    if (!(await lockNewest(tx, expectedNewestKid))) return false;
    const retired = await tx<RetiredRow[]>`
      UPDATE mayfly.signing_keys
      SET verifies_until_at = mayfly.instant(${key.signsFromAt}::float8)
        + make_interval(secs => ${oldVerifyFor}::float8)
      WHERE verifies_until_at IS NULL RETURNING kid, verifies_until_at`;
    await insertNewest(tx, key);
    await appendEvents(tx, [...retired.map((row) => retiredBy(actor, row)), createdBy(actor, key)]);
    return true;
  });
}

/**
 * At once, by the server's clock and by any that is a little behind it. A key that has not begun to
 * sign goes too, for nothing depends on it, and the next one after it would otherwise be a month
 * away.
 */
export function retireSigningKey(
  sql: Sql,
  ...[kid, replacement, expectedNewestKid, oldVerifyFor, actor]: Parameters<
    SigningKeyStore["retire"]
  >
): Promise<boolean> {
  return sql.begin(async (tx) => {
    if (!(await lockNewest(tx, expectedNewestKid))) return false;
    const retired = await tx<RetiredRow[]>`
      UPDATE mayfly.signing_keys
      SET verifies_until_at = least(verifies_until_at, now() + make_interval(
        secs => CASE WHEN kid = ${kid} OR signs_from_at > now()
          THEN ${-RETIRED_BEFORE_SECONDS}::float8 ELSE ${oldVerifyFor}::float8 END))
      WHERE verifies_until_at IS NULL OR verifies_until_at > now() OR kid = ${kid}
      RETURNING kid, verifies_until_at`;
    await insertNewest(tx, replacement);
    await appendEvents(tx, [
      ...retired.map((row) => retiredBy(actor, row)),
      createdBy(actor, replacement),
    ]);
    return true;
  });
}

export interface RetiredRow {
  readonly kid: string;
  readonly verifies_until_at: InstantMs;
}

async function lockNewest(sql: Transaction, expected: string | null): Promise<boolean> {
  const [newest] = await sql`
    SELECT FROM mayfly.newest_signing_key WHERE kid IS NOT DISTINCT FROM ${expected} FOR UPDATE`;
  return newest !== undefined;
}

async function insertNewest(sql: Transaction, key: StoredSigningKey): Promise<void> {
  await sql`
    INSERT INTO mayfly.signing_keys
      (kid, public_jwk, sealed_private_jwk, created_at, signs_from_at, verifies_until_at)
    VALUES (${key.kid}, ${json(key.publicJwk)}::text::jsonb,
      decode(${hex(key.sealedPrivateJwk)}, 'hex'), mayfly.instant(${key.createdAt}::float8),
      mayfly.instant(${key.signsFromAt}::float8), mayfly.instant(${key.verifiesUntilAt}::float8))`;
  await sql`UPDATE mayfly.newest_signing_key SET kid = ${key.kid}`;
}

/** `backendId`: of its own keys; left out for those of task tokens. */
export const retiredBy = (actor: Actor, row: RetiredRow, backendId?: BackendId): NewEvent => ({
  kind: "signing_key.retired",
  actor,
  data: { ...ofBackend(backendId), kid: row.kid, verifiesUntilAt: row.verifies_until_at },
});

export const createdBy = (
  actor: Actor,
  { kid, signsFromAt, publicJwk }: StoredSigningKey,
  backendId?: BackendId,
): NewEvent => ({
  kind: "signing_key.created",
  actor,
  data: { ...ofBackend(backendId), kid, signsFromAt, publicJwk },
});

const ofBackend = (backendId?: BackendId): JsonObject =>
  backendId === undefined ? {} : { backendId };

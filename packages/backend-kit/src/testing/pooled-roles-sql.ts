import type { SlotTenancy } from "../slot-tenancy.ts";

/** Raised by our blocks: a class that the standard leaves to implementations. */
export const PAST_DEADLINE = "MF001";
export const HAS_GONE_ON = "MF002";

/**
 * The generation that stands at the role, in its comment: of the tenant that has it (`name
 * generation tag`), or of the last one that ended (`ended generation`). It only rises.
 */
export const generationOf = (role: string): string =>
  `coalesce(nullif(split_part(shobj_description(${role}, 'pg_authid'), ' ', 2), '')::bigint, 0)`;

const locked = (slot: string): string => `
  PERFORM set_config('lock_timeout', '5s', true);
  PERFORM pg_advisory_xact_lock(28, hashtext('${slot}'));
  stands := ${generationOf(`'${slot}'::regrole`)};`;

/** One transaction, which both lowers no generation and tests its deadline after each wait. */
export const mintBlock = (
  { slot, generation, mark }: SlotTenancy,
  account: {
    readonly password: string;
    readonly expiresAt: number;
    readonly issueBy: number;
    readonly connections: number;
  },
): string => `DO $mayfly$
DECLARE stands bigint;
BEGIN ${locked(slot)}
  IF stands >= ${generation} THEN
    RAISE EXCEPTION 'another tenant has it' USING ERRCODE = '${HAS_GONE_ON}';
  END IF;
  EXECUTE format('ALTER ROLE "${slot}" LOGIN CONNECTION LIMIT ${account.connections} '
    || 'PASSWORD ''${account.password}'' VALID UNTIL %L',
    to_timestamp(${account.expiresAt} / 1000.0));
  COMMENT ON ROLE "${slot}" IS '${mark}';
  IF extract(epoch FROM clock_timestamp()) * 1000 > ${account.issueBy} THEN
    RAISE EXCEPTION 'past its deadline' USING ERRCODE = '${PAST_DEADLINE}';
  END IF;
END $mayfly$`;

/** Ends every tenancy up to this generation, for good: none of them is minted any more. */
export const endBlock = (slot: string, generation: number): string => `DO $mayfly$
DECLARE stands bigint;
BEGIN ${locked(slot)}
  IF stands > ${generation} THEN RETURN; END IF;
  ALTER ROLE "${slot}" NOLOGIN PASSWORD NULL;
  COMMENT ON ROLE "${slot}" IS 'ended ${generation}';
END $mayfly$`;

/** Cuts its sessions unless a later tenant has it: a login is over before that one's comes. */
export const cutBlock = (slot: string, generation: number): string => `DO $mayfly$
DECLARE stands bigint;
BEGIN ${locked(slot)}
  IF stands <= ${generation} THEN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${slot}';
  END IF;
END $mayfly$`;

import { z } from "zod";
import { leftMs } from "./call-deadline.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { doBlock } from "./mint-message.ts";
import { PgFailure, SQLSTATE, unfinished } from "./pg-failure.ts";
import { oidLiteral, quoteIdentifier, wholeNumber } from "./quote.ts";

/** In one transaction, each holding a lock; a server's lock table has 6,400 places by default. */
const BATCH = 1_000;
/** A batch is not begun with less time than this. */
const SPARE_MS = 1_000;

const objectRows = z.array(z.object({ id: z.string(), owned: z.boolean() }));
type LargeObject = z.infer<typeof objectRows>[number];

export interface LargeObjectWork {
  readonly role: FoundRole;
  /** Who gets them; null: they are dropped. */
  readonly heir: string | null;
  /** Roles of leases that granted it theirs, and that we are a member of. */
  readonly granters: readonly { readonly oid: number }[];
}

/**
 * Anybody may create large objects, without end, and grant them to anybody. One statement for all
 * would exceed its time at each attempt, so they go in batches, and what is done stays done.
 */
export async function releaseLargeObjects(
  lane: Lane,
  endpoint: Endpoint,
  work: LargeObjectWork,
  deadline: Deadline,
): Promise<void> {
  let last = new Set<string>();
  for (let size = BATCH; ;) {
    const [rows] = await endpoint.run(selectObjects(work, size), deadline);
    const objects = objectRows.parse(rows);
    // What we may not take back stays, and DROP ROLE will say so.
    if (objects.length === 0 || objects.some(({ id }) => last.has(id))) return;
    if (leftMs(deadline, lane.host.clock) < SPARE_MS) {
      throw unfinished(
        "revoke: login and sessions are gone; the lease's large objects are released in " +
          "batches, and the next attempt goes on with them",
        1,
      );
    }
    try {
      await endpoint.run(releaseStatement(work, objects), deadline);
      last = new Set(objects.map(({ id }) => id));
    } catch (thrown) {
      if (!isTooMuch(thrown) || size === 1) throw thrown;
      size = Math.ceil(size / 4);
    }
  }
}

/** More locks than there is room for, or more work than a statement has time for. */
const isTooMuch = (thrown: unknown): boolean =>
  thrown instanceof PgFailure &&
  (thrown.sqlstate === SQLSTATE.outOfMemory || thrown.sqlstate === SQLSTATE.cancelled);

const selectObjects = ({ role, granters }: LargeObjectWork, size: number): string => {
  const owners = granters.map(({ oid }) => oidLiteral(oid)).join(", ");
  const granted = `OR s.deptype = 'a' AND EXISTS (SELECT FROM pg_shdepend o
    WHERE o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid AND o.deptype = 'o'
      AND o.refobjid IN (${owners}))`;
  return `SELECT s.objid::int8::text AS id, s.deptype = 'o' AS owned FROM pg_shdepend s
    WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ${oidLiteral(role.oid)}
      AND s.classid = 'pg_largeobject'::regclass
      AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (s.deptype = 'o' ${owners === "" ? "" : granted})
    LIMIT ${wholeNumber(size)}`;
};

function releaseStatement(work: LargeObjectWork, objects: readonly LargeObject[]): string {
  const owned = objects.filter((object) => object.owned);
  const granted = objects.filter((object) => !object.owned);
  const give =
    work.heir === null
      ? "PERFORM lo_unlink(item);"
      : `EXECUTE 'ALTER LARGE OBJECT ' || item || ' OWNER TO ${embedded(work.heir)}';`;
  const from = embedded(work.role.name);
  const takeBack = `EXECUTE 'REVOKE ALL ON LARGE OBJECT ' || item || ' FROM ${from}';`;
  return doBlock([...forEach(owned, give), ...forEach(granted, takeBack)]);
}

/** A quoted identifier inside a literal. */
const embedded = (name: string): string => quoteIdentifier(name).replaceAll("'", "''");

function forEach(objects: readonly LargeObject[], statement: string): readonly string[] {
  if (objects.length === 0) return [];
  const ids = objects.map(({ id }) => wholeNumber(Number(id))).join(", ");
  return [
    "DECLARE item oid; BEGIN",
    `FOREACH item IN ARRAY ARRAY[${ids}]::oid[] LOOP ${statement} END LOOP;`,
    "END;",
  ];
}

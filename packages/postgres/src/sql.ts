import postgres from "postgres";
import { instantMs, type InstantMs } from "@mayfly/spec";

/** `timestamptz` is read as milliseconds since the epoch, never as a `Date`. */
interface LedgerTypes extends Record<string, unknown> {
  readonly instant: InstantMs;
}
export type Sql = postgres.Sql<LedgerTypes>;
/** A part of a statement, to be put into another. */
export type Fragment = postgres.Fragment;
/** A statement that may stand alone or in a transaction. */
export type Statement = postgres.ISql<LedgerTypes>;
/** A statement of a transaction that somebody has begun. */
export type Transaction = Statement;

export interface ConnectionLimits {
  readonly connectTimeoutSeconds: number;
  /** The longest that one call to the ledger may take, whatever it waits for. */
  readonly callMs: number;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  /** A frozen process holds nobody's locks for longer than this. */
  readonly idleInTransactionMs: number;
  /** Connections are kept as long as the process, with what was set on them. */
  readonly keepsConnections?: true;
  /**
   * For statements that are prepared once and run for ever, each of which has its index: a plan
   * that was made while a month's partition was all but empty would go on reading all of it, until
   * the server's next ANALYZE, and hours of a busy ledger later.
   */
  readonly alwaysByIndex?: true;
  /**
   * Plans once for all values. For statements of which every row is found by its id: planning them
   * anew for each batch took most of the server's time of an exchange, several milliseconds.
   */
  readonly plansOnce?: true;
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  connectTimeoutSeconds: 5,
  callMs: 12_000,
  statementTimeoutMs: 10_000,
  lockTimeoutMs: 5_000,
  idleInTransactionMs: 10_000,
};

/** Whom a URL logs in as; null where it leaves that to the environment. */
export function databaseRoleOf(url: string): string | null {
  const user = URL.parse(url)?.username ?? "";
  return user === "" ? null : decodeURIComponent(user);
}

/**
 * Nested loops over indices: the other joins read all of a table that was small when planned. A
 * statement that joins rows by their ids says `id = ANY (…)` as well: of a mere join the planner
 * may begin with all that lives, which was little when it planned.
 */
const BY_INDEX = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
} as const;

const TIMESTAMPTZ = 1184;

/** `2026-11-20 22:08:36.123456+00`, as the server writes it in UTC; what is below 1 ms is cut. */
export function parseInstant(text: string): InstantMs {
  return instantMs(Date.parse(`${text.replace(" ", "T")}:00`));
}

/** Connections are opened when first needed, and at most `max` of them. */
export function connect(
  url: string,
  applicationName: string,
  max: number,
  limits: ConnectionLimits = CONNECTION_LIMITS,
): Sql {
  return postgres(url, {
    max,
    connect_timeout: limits.connectTimeoutSeconds,
    ...(limits.keepsConnections === true ? { max_lifetime: null } : { idle_timeout: 60 }),
    // By its age the driver would end a reserved connection only when its pool is closed.
    ...(limits.plansOnce === true ? { max_lifetime: null } : {}),
    onnotice: () => undefined,
    connection: {
      application_name: applicationName,
      TimeZone: "UTC",
      DateStyle: "ISO",
      search_path: "pg_catalog",
      default_transaction_isolation: "read committed",
      statement_timeout: limits.statementTimeoutMs,
      lock_timeout: limits.lockTimeoutMs,
      idle_in_transaction_session_timeout: limits.idleInTransactionMs,
      ...(limits.alwaysByIndex === true ? BY_INDEX : {}),
      ...(limits.plansOnce === true ? { plan_cache_mode: "force_generic_plan" } : {}),
      // A page of a hundred rows costs less than starting workers, or a compiler, for it.
      max_parallel_workers_per_gather: 0,
      jit: false,
    },
    types: {
      instant: {
        to: TIMESTAMPTZ,
        from: [TIMESTAMPTZ],
        serialize: (at: InstantMs) => new Date(at).toISOString(),
        parse: parseInstant,
      },
    },
  });
}

/** A list of UUIDs as one text parameter: `ANY (${uuids(ids)}::text::uuid[])`. */
export const uuids = (ids: Iterable<string>): string => `{${[...ids].join(",")}}`;

/**
 * Rows as one JSON text parameter: `jsonb_to_recordset(${rows(...)}::text::jsonb)`. The cast by way
 * of `text` keeps the driver from encoding it a second time.
 */
export const rows = (values: readonly object[]): string => JSON.stringify(values);

/**
 * Texts as one JSON parameter: `IN (SELECT
 * jsonb_array_elements_text(${texts(...)}::text::jsonb))`.
 */
export const texts = (values: Iterable<string>): string => JSON.stringify([...values]);

export const json = (value: unknown): string => JSON.stringify(value);

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

import type { BackendHost, CallContext } from "@mayfly/spec";
import type { ConnectionSettings } from "./connection-settings.ts";
import { Endpoint, type Deadline, type Row, type Session } from "./endpoint.ts";
import { MysqlFailure } from "./mysql-failure.ts";

/** What the operations of one open backend share. */
export interface Servers {
  readonly settings: ConnectionSettings;
  readonly host: BackendHost;
  /** For mints alone, so that ending never waits behind issuing. */
  readonly mints: Endpoint;
  readonly work: Endpoint;
  readonly replicas: readonly Endpoint[];
  /** Our table, quoted. */
  readonly marks: string;
  /** Asked once: a server that is replaced by another kind is another backend. */
  isMariaDb(session: Session): Promise<boolean>;
}

export function createServers(settings: ConnectionSettings, host: BackendHost): Servers {
  const { clock } = host;
  let isMariaDb: boolean | null = null;
  const primary = { settings, clock, host: settings.host, port: settings.port };
  return {
    settings,
    host,
    mints: new Endpoint({ ...primary, slots: settings.mint_slots }),
    work: new Endpoint({ ...primary, slots: settings.work_slots }),
    replicas: settings.replicas.map((at) => new Endpoint({ settings, clock, ...at, slots: 2 })),
    marks: `\`${settings.marks_schema}\`.leases`,
    isMariaDb: async (session) => {
      if (isMariaDb === null) {
        const { rows } = await session.run("SELECT VERSION() LIKE '%MariaDB%' AS is_mariadb");
        isMariaDb = numberIn(rows[0], "is_mariadb") === 1;
      }
      return isMariaDb;
    },
  };
}

export async function closeServers({ mints, work, replicas }: Servers): Promise<void> {
  await Promise.all([mints, work, ...replicas].map((endpoint) => endpoint.close()));
}

/** The caller's signal, and a bound of our own, so that no call lasts for ever. */
export const deadlineIn = (context: CallContext, ms: number): Deadline => ({
  signal: context.signal,
  byMs: context.clock.monotonicMs() + ms,
});

export const textIn = (row: Row | undefined, column: string): string | null => {
  const value = row?.[column];
  return typeof value === "string" ? value : null;
};
/**
 * A whole number, whichever way the driver gives it. Counts prove ends, so whatever else an answer
 * holds is no zero: it rejects with {@link MysqlFailure}.
 */
export const numberIn = (row: Row | undefined, column: string): number => {
  const value = row?.[column];
  const isWhole = typeof value === "string" && /^-?\d{1,15}$/.test(value);
  const number = isWhole ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number)) {
    throw new MysqlFailure("lost", `the answer has no whole number "${column}"`);
  }
  return number;
};

/** The server's clock, in ms since the epoch; for a session in UTC. */
export const NOW_MS = "FLOOR(UNIX_TIMESTAMP(SYSDATE(6)) * 1000)";

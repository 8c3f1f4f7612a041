import type { BackendHost } from "@mayfly/spec";
import type { ConnectionSettings } from "./connection-settings.ts";
import { Endpoint } from "./endpoint.ts";

/** What the operations of one open backend share: settings, host and bounded connections. */
export interface Lane {
  readonly settings: ConnectionSettings;
  readonly host: BackendHost;
  /** For mints alone, so that ending never waits behind issuing. */
  readonly mints: Endpoint;
  readonly work: Endpoint;
  /** For what ends many leases at once, so that no batch waits behind leases that resist. */
  readonly batches: Endpoint;
  readonly standbys: readonly Endpoint[];
  /** Aborted by `close`. */
  readonly closing: AbortSignal;
  /** A connection to another database of the primary; the caller closes it. */
  database(name: string): Endpoint;
}

/** One that drops, one that cuts sessions or looks, and one for whichever has more to do. */
const BATCH_SLOTS = 3;

export function createLane(
  settings: ConnectionSettings,
  host: BackendHost,
  closing: AbortSignal,
): Lane {
  const { clock } = host;
  const primary = { settings, clock, host: settings.host, port: settings.port };
  const { database } = settings;
  return {
    settings,
    host,
    closing,
    mints: new Endpoint({ ...primary, database, slots: settings.mint_slots }),
    work: new Endpoint({ ...primary, database, slots: settings.work_slots }),
    batches: new Endpoint({ ...primary, database, slots: BATCH_SLOTS }),
    standbys: settings.standbys.map(
      (standby) => new Endpoint({ settings, clock, ...standby, database, slots: 2 }),
    ),
    database: (name) => new Endpoint({ ...primary, database: name, slots: 1 }),
  };
}

export async function closeLane(lane: Lane): Promise<void> {
  const endpoints = [lane.mints, lane.work, lane.batches, ...lane.standbys];
  await Promise.all(endpoints.map((endpoint) => endpoint.close()));
}

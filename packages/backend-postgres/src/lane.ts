import type { BackendHost } from "@mayfly/spec";
import { mintSlotsOf, type ConnectionSettings } from "./connection-settings.ts";
import { Endpoint } from "./endpoint.ts";
import { LockReserve } from "./lock-reserve.ts";

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
  /** On the primary and each standby. Whoever lists begins them: the same process ends leases. */
  readonly reserves: readonly LockReserve[];
  /** Aborted by `close`. */
  readonly closing: AbortSignal;
  /** A connection to another database of the primary; the caller closes it. */
  database(name: string): Endpoint;
}

/** One that drops, one that cuts sessions or looks, and one for whichever has more to do. */
const BATCH_SLOTS = 3;
/** One holds while the other begins anew. */
const RESERVE_SLOTS = 2;

export function createLane(
  settings: ConnectionSettings,
  host: BackendHost,
  closing: AbortSignal,
): Lane {
  const { clock } = host;
  const primary = { settings, clock, host: settings.host, port: settings.port };
  const { database } = settings;
  const reserved = [primary, ...settings.standbys.map((at) => ({ settings, clock, ...at }))].map(
    (place) => new Endpoint({ ...place, database, slots: RESERVE_SLOTS }),
  );
  return {
    settings,
    host,
    closing,
    mints: new Endpoint({ ...primary, database, slots: mintSlotsOf(settings) }),
    work: new Endpoint({ ...primary, database, slots: settings.work_slots }),
    batches: new Endpoint({ ...primary, database, slots: BATCH_SLOTS, byIndex: true }),
    standbys: settings.standbys.map(
      (standby) => new Endpoint({ settings, clock, ...standby, database, slots: 2 }),
    ),
    reserves: reserved.map((endpoint) => new LockReserve(endpoint, host, closing)),
    database: (name) => new Endpoint({ ...primary, database: name, slots: 1 }),
  };
}

export async function closeLane(lane: Lane): Promise<void> {
  const closable = [lane.mints, lane.work, lane.batches, ...lane.standbys, ...lane.reserves];
  await Promise.all(closable.map((one) => one.close()));
}

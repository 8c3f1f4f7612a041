import { accessLeftOf, cutMessage, type AccessLeft } from "./access-message.ts";
import { droppedOf, dropMessage } from "./drop-message.ts";
import type { Endpoint, Rows } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { LeaseBatcher, type SendLeases } from "./lease-batcher.ts";
import type { LeaseHandle } from "./lease-mark.ts";
import {
  accessMessage,
  accessSeenOf,
  primaryMessage,
  primarySeenOf,
  type AccessSeen,
  type RestSeen,
} from "./probe-message.ts";

/** What is done and seen at one endpoint for many leases at once. */
export interface EndpointBatches<Seen> {
  readonly cuts: LeaseBatcher<AccessLeft>;
  readonly probes: LeaseBatcher<Seen>;
}

/** The batches that end leases on one backend. */
export interface LeaseBatches {
  readonly drops: LeaseBatcher<"dropped">;
  readonly primary: EndpointBatches<{ readonly access: AccessSeen; readonly rest: RestSeen }>;
  /** In the order of the lane's. */
  readonly standbys: readonly EndpointBatches<AccessSeen>[];
}

/** Of the first messages, and of those to a server that is quick. */
const BATCH_FIRST = 64;
const BATCH_MAX = 256;
/** As many as all passes of a process may have under way at one backend. */
const QUEUE_MAX = 4_096;
/** While one is on its way back, the other is worked on. */
const DROPS_AT_ONCE = 2;
/** Of a batch of drops; what takes longer is divided, and in the end goes alone. */
const DROP_MS_MAX = 2_000;
/** How much longer than the server's own time-out we wait for its answer. */
const ANSWER_MS = 2_000;

export function createLeaseBatches(lane: Lane): LeaseBatches {
  const { clock } = lane.host;
  const size = { batchFirst: BATCH_FIRST, batchMax: BATCH_MAX };
  const once = { ...size, queueMax: QUEUE_MAX, slots: 1 };
  const dropMs = Math.min(DROP_MS_MAX, lane.settings.call_seconds_max * 1_000);
  return {
    drops: new LeaseBatcher(
      sender(lane, lane.batches, (leases) => dropMessage(leases, dropMs), droppedOf),
      { ...once, slots: DROPS_AT_ONCE },
      clock,
    ),
    primary: {
      cuts: new LeaseBatcher(sender(lane, lane.batches, cutMessage, cutOf), once, clock),
      probes: new LeaseBatcher(
        sender(lane, lane.batches, primaryMessage, (rows, leases) => primarySeenOf(leases, rows)),
        once,
        clock,
      ),
    },
    standbys: lane.standbys.map((endpoint) => ({
      cuts: new LeaseBatcher(sender(lane, endpoint, cutMessage, cutOf), once, clock),
      probes: new LeaseBatcher(sender(lane, endpoint, accessMessage, accessSeenOf), once, clock),
    })),
  };
}

const cutOf = (rows: Rows, leases: readonly LeaseHandle[]): ReadonlyMap<number, AccessLeft> =>
  accessLeftOf(leases, rows);

/** One message for a batch, whose callers' own deadlines the batcher heeds. */
function sender<Result>(
  lane: Lane,
  endpoint: Endpoint,
  textOf: (leases: readonly LeaseHandle[]) => string,
  resultsOf: (rows: Rows, leases: readonly LeaseHandle[]) => ReadonlyMap<number, Result>,
): SendLeases<Result> {
  const { clock } = lane.host;
  return async (take) => {
    let leases: readonly LeaseHandle[] = [];
    return endpoint.session(
      {
        signal: lane.closing,
        byMs: clock.monotonicMs() + lane.settings.call_seconds_max * 1_000 + ANSWER_MS,
      },
      async (session) =>
        leases.length === 0
          ? new Map<number, Result>()
          : resultsOf(await session.run(textOf(leases)), leases),
      () => {
        leases = take();
      },
    );
  };
}

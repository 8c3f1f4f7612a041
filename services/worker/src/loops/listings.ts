import { createSlots, type Core } from "@mayfly/core";
import { linkSignals, type BackendId } from "@mayfly/spec";
import { runEvery, type LoopPorts } from "./every.ts";

export interface ListingPorts extends LoopPorts {
  readonly core: Pick<Core, "catalogView" | "listOrphans">;
  readonly settings: {
    readonly sweepIntervalSeconds: number;
    readonly listingIntervalSeconds: number;
  };
}

/**
 * Listings under way at once. One that hangs gives its place back within the bound of a page, which
 * is half of the least time after which a listing counts as late where intervals are the default.
 */
const LISTINGS_AT_ONCE_MAX = 64;

interface Running {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Runs a listing loop for each registered backend until `signal` is aborted. Each is due by its own
 * clock, so that a backend that hangs puts off no other's listing. One that is registered meanwhile
 * gets its loop within an interval; one that was removed loses it. Resolves when all have ended.
 */
export async function runListings(ports: ListingPorts, signal: AbortSignal): Promise<void> {
  const { core, settings } = ports;
  const running = new Map<BackendId, Running>();
  const slots = createSlots(LISTINGS_AT_ONCE_MAX);

  const start = (id: BackendId): Running => {
    const stop = new AbortController();
    const loop = {
      name: "listing",
      fields: { backend: id },
      attributes: { "mayfly.backend.id": id },
      traced: true,
      isVital: false,
      intervalMs: settings.listingIntervalSeconds * 1000,
      pass: async (call) => {
        await slots.run(() => core.listOrphans(id, call));
      },
    } satisfies Parameters<typeof runEvery>[0];
    const own = linkSignals(signal, stop.signal);
    const ended = runEvery(loop, ports, own.signal).finally(() => {
      own[Symbol.dispose]();
      running.delete(id);
    });
    return { stop, ended };
  };

  const keepUp = async (): Promise<void> => {
    const { backends } = await core.catalogView();
    const registered = new Set(backends.map(({ id }) => id));
    for (const [id, { stop }] of running) {
      if (!registered.has(id)) stop.abort(new Error(`backend ${id} was removed`));
    }
    for (const id of registered) if (!running.has(id)) running.set(id, start(id));
  };

  const { sweepIntervalSeconds, listingIntervalSeconds } = settings;
  const intervalMs = Math.min(sweepIntervalSeconds, listingIntervalSeconds) * 1000;
  const loop = { name: "listings", fields: {}, attributes: {}, traced: false, intervalMs };
  await runEvery({ ...loop, isVital: true, pass: keepUp }, ports, signal);
  await Promise.all([...running.values()].map(({ ended }) => ended));
}

import type { AgentSvid, CallContext, WorkloadApi } from "@mayfly/spec";
import { Refusal } from "./refusal.ts";

/** The X509-SVID of this process, the newest that the agent told of. */
export interface OwnSvid {
  /** Waits for the first. Throws a Refusal where there is no agent, or it tells of none. */
  current(context: CallContext): Promise<AgentSvid>;
}

/** How long the first is waited for. */
const FIRST_MS_MAX = 5000;

/** Asks the agent for none before one is needed, and follows it from then on. */
export function createOwnSvid(api: WorkloadApi | null): OwnSvid {
  let newest: AgentSvid | null = null;
  let arrived: PromiseWithResolvers<void> | null = null;

  const follow = (from: WorkloadApi): Promise<void> => {
    if (arrived !== null) return arrived.promise;
    const first = Promise.withResolvers<void>();
    arrived = first;
    from.followSvid((svid) => {
      newest = svid;
      first.resolve();
    });
    return first.promise;
  };

  return {
    current: async ({ clock, signal }) => {
      if (api === null) {
        throw new Refusal("keys_unavailable", "this process was told of no SPIFFE agent");
      }
      const first = follow(api);
      if (newest === null) {
        const done = new AbortController();
        const late = clock.sleep(FIRST_MS_MAX, AbortSignal.any([signal, done.signal])).then(
          () => undefined,
          () => undefined,
        );
        await Promise.race([first, late]);
        done.abort(new Error("done"));
      }
      if (newest !== null) return newest;
      throw new Refusal("keys_unavailable", "the SPIFFE agent has told of no SVID");
    },
  };
}

import type { BackendId, Clock, Log } from "@mayfly/spec";
import { within } from "./within.ts";

export interface CoalescedPasses {
  /**
   * Has the handler run once more for this backend, beginning after this call. If one runs now,
   * answers at once: whoever runs it runs another one after it, one for all who asked meanwhile.
   * Otherwise answers when there is nothing more to run. Never rejects. Says which it was.
   */
  wake(backendId: BackendId): Promise<"ran" | "joined">;
}

/**
 * One pass per backend at a time in this process; a hundred wake-ups during it are one more pass.
 * A pass that takes longer than `passTimeoutMs` gives its place back and is logged: it is not ended
 * by that, its rows are claimed.
 */
export function coalescePasses(
  handler: (backendId: BackendId) => Promise<void>,
  options: { readonly clock: Clock; readonly log: Log; readonly passTimeoutMs: number },
): CoalescedPasses {
  const { clock, log, passTimeoutMs } = options;
  /** Backends whose pass runs, with whether another was asked for. */
  const running = new Map<BackendId, { again: boolean }>();

  const pass = async (backendId: BackendId): Promise<void> => {
    try {
      await within(clock, passTimeoutMs, "a pass", () => handler(backendId));
    } catch (error) {
      log.error("a pass failed; the next sweep takes its rows", { backendId }, error);
    }
  };

  return {
    wake: async (backendId) => {
      const current = running.get(backendId);
      if (current !== undefined) {
        current.again = true;
        return "joined";
      }
      const mine = { again: false };
      running.set(backendId, mine);
      do {
        mine.again = false;
        await pass(backendId);
      } while (mine.again);
      running.delete(backendId);
      return "ran";
    },
  };
}

import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { Clock, Log } from "@mayfly/spec";

export interface FollowOptions<T> {
  /** For the log. */
  readonly what: string;
  readonly open: () => ClientReadableStream<unknown>;
  /** Throws at a message that is not what the standard says: then the stream is opened anew. */
  readonly read: (message: unknown) => T;
  readonly told: (state: T) => void;
  readonly lost: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const BACK_OFF_MS_MIN = 500;
const BACK_OFF_MS_MAX = 30_000;

/**
 * Follows one stream of the agent until the signal: opened anew after each end, half a second
 * later at first, then twice as long each time without a message. `InvalidArgument` says that
 * asking again is of no use (SPIFFE Workload API section 4.5), and ends it.
 */
export async function followStream<T>(options: FollowOptions<T>): Promise<void> {
  const { what, clock, log, signal } = options;
  let waitMs = BACK_OFF_MS_MIN;
  while (!signal.aborted) {
    const end = await followOnce(options);
    if (signal.aborted) return;
    options.lost();
    if (end.code === status.INVALID_ARGUMENT) {
      log.error("the SPIFFE agent refuses a stream for good", { what });
      return;
    }
    if (end.told) waitMs = BACK_OFF_MS_MIN;
    log.warn("a stream of the SPIFFE agent ended; it is opened again", {
      what,
      code: end.code === null ? null : (status[end.code] ?? String(end.code)),
      waitMs,
    });
    await clock.sleep(waitMs, signal).catch(() => undefined);
    waitMs = Math.min(BACK_OFF_MS_MAX, waitMs * 2);
  }
}

interface StreamEnd {
  readonly code: number | null;
  readonly told: boolean;
}

function followOnce<T>({
  open,
  read,
  told,
  signal,
  ...rest
}: FollowOptions<T>): Promise<StreamEnd> {
  return new Promise((resolve) => {
    const stream = open();
    const cancel = (): void => stream.cancel();
    let wasTold = false;
    const ended = (code: number | null): void => {
      signal.removeEventListener("abort", cancel);
      resolve({ code, told: wasTold });
    };
    signal.addEventListener("abort", cancel, { once: true });
    stream.on("data", (message: unknown) => {
      try {
        told(read(message));
        wasTold = true;
      } catch {
        // What a parser says may quote what it was given, a key among it.
        rest.log.error("the SPIFFE agent told what cannot be read", { what: rest.what });
        cancel();
      }
    });
    stream.on("error", (error: ServiceError) => ended(error.code));
    stream.on("end", () => ended(null));
  });
}

import type { Clock, InstantMs, Log } from "@mayfly/spec";
import { readTlsPair, type TlsPair, type TlsPaths } from "./tls-files.ts";

const DAY_MS = 86_400_000;
/** Certificates that last weeks are renewed long before. */
const WARN_BEFORE_MS = 7 * DAY_MS;

/** The pair that is served, and when it expires. */
export interface ServedTls {
  expiresAt(): InstantMs;
  /**
   * Reads the files again, and serves what is new in them to new connections. A pair that cannot be
   * served is logged, and the old one stays.
   */
  reload(): Promise<void>;
}

export function createServedTls(
  setCertificate: (pair: TlsPair) => void,
  paths: TlsPaths,
  first: TlsPair,
  ports: { readonly clock: Clock; readonly log: Log },
): ServedTls {
  let served = first;
  let failing = "";
  let warnedAt: InstantMs | null = null;
  const say = (pair: TlsPair, message: string): void =>
    ports.log.info(message, { expires_at: new Date(pair.expiresAt).toISOString() });
  const warnOfExpiry = (): void => {
    const now = ports.clock.now();
    if (served.expiresAt - now > WARN_BEFORE_MS) return;
    if (warnedAt !== null && now - warnedAt < DAY_MS) return;
    warnedAt = now;
    const fields = { expires_at: new Date(served.expiresAt).toISOString() };
    ports.log.warn("the TLS certificate expires soon", fields);
  };
  say(first, "TLS certificate in use");
  return {
    expiresAt: () => served.expiresAt,
    reload: async () => {
      try {
        const pair = await readTlsPair(paths, ports.clock.now());
        failing = "";
        if (pair.cert !== served.cert || pair.key !== served.key) {
          setCertificate(pair);
          served = pair;
          say(pair, "TLS certificate replaced");
        }
      } catch (error) {
        const why = error instanceof Error ? error.message : "unknown";
        // Said once for each thing that is wrong, not each time that is looked.
        if (why !== failing) {
          const fields = { why, expires_at: new Date(served.expiresAt).toISOString() };
          ports.log.error("TLS certificate not replaced: the old one stays", fields);
        }
        failing = why;
      }
      warnOfExpiry();
    },
  };
}

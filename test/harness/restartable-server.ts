import { rm } from "node:fs/promises";
import { startPostgres, type EmbeddedPostgres } from "@mayfly/embedded";
import type { ServerAddress } from "./server-address.ts";

/** A PostgreSQL of the test's own, which is stopped, killed and started again in its place. */
export interface Restartable extends ServerAddress, AsyncDisposable {
  /** `kill` is a crash: the next start recovers from the log. */
  lose(how: "fast" | "kill"): Promise<void>;
  start(): Promise<void>;
}

/**
 * Often, so that little is to be read again after a crash; 30 s is the least that it allows. And
 * flushed by file system, where there is such a call: by file it was more than a minute on a busy
 * disk (`recovery_init_sync_method`, since 14).
 */
const SETTINGS = {
  checkpoint_timeout: "30s",
  ...(process.platform === "linux" ? { recovery_init_sync_method: "syncfs" } : {}),
};
/** On a busy machine the recovery of a killed server may take longer than a start may. */
const STARTS_MAX = 5;

/** With fsync: what it acknowledged, a crash must not take back. */
export async function startRestartable(): Promise<Restartable> {
  let server: EmbeddedPostgres = await startPostgres({ persistent: true, settings: SETTINGS });
  const { host, port, dataDir } = server;
  return {
    host,
    port,
    url: (database, user, password) => server.url(database, user, password),
    lose: async (how) => {
      if (how === "fast") await server.stop("fast");
      else server.kill();
      await server.exited;
    },
    start: async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          server = await startPostgres({ persistent: true, dataDir, port, settings: SETTINGS });
          return;
        } catch (error) {
          if (attempt === STARTS_MAX) throw error;
        }
      }
    },
    [Symbol.asyncDispose]: async () => {
      await server.stop("immediate");
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

import { requireOrExplain, startPostgres, testServers } from "@mayfly/embedded";
import type { TestProject } from "vitest/node";
import type {} from "./provided.ts";

/** Set in the process that runs all projects, so that what is missing is said once in a run. */
const EXPLAINED = "TEST_SERVERS_EXPLAINED";

/**
 * Starts one PostgreSQL for all files of a project that has any to run, and ends it after them.
 *
 * Without fsync, since no test of these loses its machine; tests that crash the server itself, or
 * need another version or settings, start their own with `startPostgres`.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (process.env[EXPLAINED] === undefined) {
    process.env[EXPLAINED] = "yes";
    for (const name of testServers) await requireOrExplain(name);
  }
  const server = await startPostgres({
    unsafeNoFsync: true,
    settings: {
      // Three files at once, each with a few pools and with what it left to time out.
      max_connections: "450",
      // Tests leave prepared transactions behind to see them rolled back.
      max_prepared_transactions: "50",
      shared_buffers: "128MB",
    },
  });
  const { version, host, port, superuser } = server;
  project.provide("mayflyPostgres", { version, host, port, superuser });
  return () => server.stop("immediate");
}

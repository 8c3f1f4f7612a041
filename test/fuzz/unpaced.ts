import type { Environment } from "../harness/index.ts";

/** All that is sent comes from one address, and nearly none of it proves anything. */
export const UNPACED: Environment = {
  MAYFLY_SOURCE_FAILURES_PER_SECOND: "0",
  MAYFLY_WORKLOAD_EXCHANGES_PER_SECOND: "0",
};

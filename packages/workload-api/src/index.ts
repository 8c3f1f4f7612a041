/** The SPIFFE Workload API of the agent on this machine: bundles and this process's own SVID. */
export { createWorkloadApi } from "./workload-api.ts";

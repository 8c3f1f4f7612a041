/** Group commit without a database, for who brings stages of another one: the simulator. */
export {
  COMMITTER_LIMITS,
  RESERVE_BESIDES_MAX,
  createCommitter,
  type BatchResult,
  type Committer,
  type CommitterLimits,
  type Stage,
} from "./committer.ts";
export { LedgerFault } from "./faults.ts";
export { knownActivation, type ActivateRequest } from "./known-activation.ts";

import { BrokerError } from "@mayfly/spec";

/** Requests handled at once in one process. */
const UNDER_WAY_MAX = 512;
/** Of these, how many are kept for ends and heartbeats. */
const KEPT_FOR_ENDS = 128;

const ENDS =
  /^\/v1\/(?:tasks\/(?:kill|[^/]+\/(?:complete|fail|cancel|kill|heartbeat))|leases\/(?:[^/]+\/)?end)$/;
/** Says only that the process runs, and costs nothing. */
const FREE = "/healthz";

/** There are as many requests as this process handles: nothing was done for this one. */
export class Crowded extends BrokerError {
  override readonly name = "Crowded";
  constructor() {
    super("busy", "The broker has as many requests under way as it handles at once.", {
      retryAfterSeconds: 1,
    });
  }
}

export interface Admission {
  /** A place for a request to `path`, until the answer is called. Throws {@link Crowded}. */
  enter(path: string): () => void;
}

/**
 * Bounds the requests under way, before who sends them is looked at: strangers can fill the
 * places, but neither memory nor the ledger's queue. Ends and heartbeats find places when all
 * others are taken, so that a flood of exchanges stops no end.
 */
export function createAdmission(): Admission {
  let underWay = 0;
  let others = 0;
  return {
    enter: (path) => {
      if (path === FREE) return () => undefined;
      const weight = ENDS.test(path) ? 0 : 1;
      const isFull = underWay >= UNDER_WAY_MAX;
      if (isFull || (weight === 1 && others >= UNDER_WAY_MAX - KEPT_FOR_ENDS)) throw new Crowded();
      underWay += 1;
      others += weight;
      return () => {
        underWay -= 1;
        others -= weight;
      };
    },
  };
}

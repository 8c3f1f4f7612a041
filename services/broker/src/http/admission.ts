import { BrokerError, type Clock } from "@mayfly/spec";
import { createExchangeLimit, type ExchangeLimit } from "./exchange-limit.ts";

/** Requests handled at once in one process. */
const UNDER_WAY_MAX = 512;
/** Of these, how many are kept for ends and heartbeats. */
const KEPT_FOR_ENDS = 128;

/** Of these nothing is ever refused for who, or how many, others there are. */
const ENDS =
  /^\/revoke$|^\/v1\/(?:tasks\/(?:kill|[^/]+\/(?:complete|fail|cancel|kill|heartbeat))|leases\/(?:[^/]+\/)?end)$/;
export const isEnding = (path: string): boolean => ENDS.test(path);
/** Says only that the process runs, and costs nothing. */
const FREE = "/healthz";
export const EXCHANGE = "/token";

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
  /**
   * Whether an exchange would find no place now. Asked as soon as its head is there, so that a
   * flood costs no more than its heads.
   */
  refusesExchange(): boolean;
}

/**
 * Bounds the requests under way, before who sends them is looked at: strangers can fill the
 * places, but neither memory nor the ledger's queue. Exchanges have a limit of their own, which
 * follows their latency ({@link ExchangeLimit}) and leaves places to all others; ends and
 * heartbeats find places when all others are taken. So a flood of exchanges stops no end and no
 * look at the broker's health.
 */
export function createAdmission(clock: Pick<Clock, "monotonicMs">): Admission {
  let underWay = 0;
  let others = 0;
  const exchanges: ExchangeLimit = createExchangeLimit(clock);
  const refuses = (weight: 0 | 1): boolean =>
    underWay >= UNDER_WAY_MAX || (weight === 1 && others >= UNDER_WAY_MAX - KEPT_FOR_ENDS);
  return {
    refusesExchange: () => refuses(1) || exchanges.refuses(),
    enter: (path) => {
      if (path === FREE) return () => undefined;
      const weight = isEnding(path) ? 0 : 1;
      if (refuses(weight) || (path === EXCHANGE && exchanges.refuses())) throw new Crowded();
      underWay += 1;
      others += weight;
      const ended = path === EXCHANGE ? exchanges.begin() : () => undefined;
      return () => {
        underWay -= 1;
        others -= weight;
        ended();
      };
    },
  };
}

import { BrokerError } from "@mayfly/spec";

export type OutboundReason =
  | "url"
  | "address"
  | "redirect"
  | "too_large"
  | "deadline"
  | "aborted"
  | "encoding"
  | "json"
  | "connection";

/**
 * Why an outbound request gave nothing. Names the host and never the path, the query or the
 * answer: those may hold what belongs to others.
 */
export class OutboundError extends BrokerError {
  override readonly name = "OutboundError";
  readonly reason: OutboundReason;
  constructor(reason: OutboundReason, host: string, problem: string, cause?: unknown) {
    const code =
      reason === "url" || reason === "address" ? "config_invalid" : "backend_unavailable";
    super(code, `outbound request to ${host}: ${problem}`, cause === undefined ? {} : { cause });
    this.reason = reason;
  }
}

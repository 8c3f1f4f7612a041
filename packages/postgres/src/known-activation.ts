import { BrokerError, type Activation, type ActivateResult, type LeaseHandle } from "@mayfly/spec";

export interface ActivateRequest {
  readonly lease: LeaseHandle<"reserved">;
  readonly activation: Activation;
}

/**
 * An activation of which it is known what became of it. When the outcome of its commit is unknown,
 * the row is read again by `reread`; when that fails too, `ledger_unavailable` leaves here, and the
 * caller drops the secret.
 */
export function knownActivation(
  submit: (request: ActivateRequest) => Promise<ActivateResult>,
  reread: (request: ActivateRequest) => Promise<ActivateResult | "unwritten">,
): (request: ActivateRequest) => Promise<ActivateResult> {
  return async (request) => {
    try {
      return await submit(request);
    } catch (error) {
      if (!BrokerError.is(error) || error.code !== "ledger_unavailable") throw error;
      const known = await reread(request).catch(() => null);
      if (known === null) throw error;
      if (known !== "unwritten") return known;
      // Not written, or not yet: a second try waits for the first, and finds out which.
      const second = await submit(request);
      if (second.kind !== "refused") return second;
      const now = await reread(request);
      return now === "unwritten" ? second : now;
    }
  };
}

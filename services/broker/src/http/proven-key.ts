import {
  BrokerError,
  type CallContext,
  type DpopProofs,
  type ProvenKey,
  type Secret,
} from "@mayfly/spec";
import type { HttpContext } from "./request-scope.ts";

export interface ProofPorts {
  readonly dpop: DpopProofs;
}

/**
 * Verifies the request's DPoP proof, if it has one, and has its call bear the key from then on.
 * With a token, which came as `Authorization: DPoP`, there must be one, and of that token. Nothing
 * is written here: the proof is spent when it is known who sent it.
 */
export async function proveKey(
  c: HttpContext,
  { dpop }: ProofPorts,
  token: Secret | null,
): Promise<void> {
  const call = c.get("call");
  if (call.provenKey !== undefined) return;
  const proof = c.req.header("dpop");
  if (proof === undefined) {
    if (token === null) return;
    throw new BrokerError("invalid_dpop_proof", "A token sent as DPoP needs a DPoP header too.", {
      where: "DPoP",
    });
  }
  const { method, path } = c.req;
  const provenKey = await dpop.check({ proof, method, path, token }, call.clock.now());
  c.set("call", withKey(call, provenKey));
}

/** Its signal stays lazy: a copy of its members would start the timer of each request. */
const withKey = (call: CallContext, provenKey: ProvenKey): CallContext => ({
  clock: call.clock,
  get signal() {
    return call.signal;
  },
  traceId: call.traceId,
  ...(call.clientAddress === undefined ? {} : { clientAddress: call.clientAddress }),
  provenKey,
});

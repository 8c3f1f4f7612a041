import { createHash } from "node:crypto";
import {
  BrokerError,
  CERTIFICATE_CONFIRMATION,
  type CallContext,
  type DpopProofs,
  type ProvenKey,
  type Secret,
} from "@mayfly/spec";
import type { HttpContext } from "./request-scope.ts";

export interface ProofPorts {
  readonly dpop: DpopProofs;
  readonly settings: {
    /** Whether a task opened over mTLS is bound to the certificate that was shown. */
    readonly certificateBoundTokens: boolean;
  };
}

/**
 * Verifies the request's DPoP proof, if it has one, and has its call bear the key from then on.
 * With a token, which came as `Authorization: DPoP`, there must be one, and of that token. Nothing
 * is written here: the proof is spent when it is known who sent it. Without a proof it is the
 * connection's certificate that counts, where new tasks are to be bound to one.
 */
export async function proveKey(
  c: HttpContext,
  { dpop, settings }: ProofPorts,
  token: Secret | null,
): Promise<void> {
  const call = c.get("call");
  if (call.provenKey !== undefined) return;
  const proof = c.req.header("dpop");
  if (proof === undefined) {
    if (token === null) {
      if (settings.certificateBoundTokens) proveCertificate(c);
      return;
    }
    throw new BrokerError("invalid_dpop_proof", "A token sent as DPoP needs a DPoP header too.", {
      where: "DPoP",
    });
  }
  const { method, path } = c.req;
  const provenKey = await dpop.check({ proof, method, path, token }, call.clock.now());
  c.set("call", withKey(call, provenKey));
}

/**
 * RFC 8705 section 3: whose token is bound to a certificate shows it on the connection, whose
 * handshake proved its key. Whoever shows none, or comes with a proof, has its call as it is.
 */
export function proveCertificate(c: HttpContext): void {
  const call = c.get("call");
  const [leaf] = c.get("peerCertificates")() ?? [];
  if (leaf === undefined || call.provenKey !== undefined) return;
  const thumbprint = createHash("sha256").update(leaf).digest("base64url");
  const confirmation = `${CERTIFICATE_CONFIRMATION}${thumbprint}`;
  // A connection is no message that could be sent again.
  c.set("call", withKey(call, { confirmation, spend: async () => undefined }));
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

import { BrokerError, X509_CLIENT_PREFIX, type ClientAuthentication } from "@mayfly/spec";
import { readClientAssertion } from "./client-assertion.ts";
import type { Form } from "./form.ts";
import type { CertificateChain } from "./peer-certificates.ts";
import { CLIENT_ID_CHARACTERS_MAX } from "./schemas/token.ts";

/**
 * How the sender of a form authenticates itself; null where it does not. By its certificate only if
 * it names who that makes it, a SPIFFE ID or a registered client: a connection with a certificate
 * may be there for something else.
 */
export function readClient(
  form: Form,
  peerCertificates: () => CertificateChain | null,
): ClientAuthentication | null {
  const assertion = readClientAssertion(form);
  if (assertion !== null) return { ...assertion, chain: peerCertificates() };
  const clientId = form.one("client_id");
  const type = clientId === null ? null : byCertificateOf(clientId);
  if (clientId === null || type === null) return null;
  if (clientId.length > CLIENT_ID_CHARACTERS_MAX) {
    throw new BrokerError("too_large", "The client_id is too long.", { where: "client_id" });
  }
  const chain = peerCertificates();
  return chain === null ? null : { type, chain, clientId };
}

function byCertificateOf(clientId: string): "spiffe-x509" | "tls-client" | null {
  if (clientId.startsWith("spiffe://")) return "spiffe-x509";
  return clientId.startsWith(X509_CLIENT_PREFIX) ? "tls-client" : null;
}

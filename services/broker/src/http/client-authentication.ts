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
  refuseSecret(form);
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

/**
 * RFC 6749 section 5.2, as for one in the Authorization header. Passed over, a client whose secret
 * is wrong would take it that the secret is right.
 */
function refuseSecret(form: Form): void {
  if (form.one("client_secret") === null) return;
  throw new BrokerError("invalid_client", "No client authenticates with a secret.", {
    where: "client_secret",
    public: {
      hint:
        "Leave client_secret out: a client shows who it is by its client_assertion or by its " +
        "certificate.",
    },
  });
}

/** Of a form whose sender is not authenticated: the id that a certificate would have to prove. */
export function unprovenClientIdOf(form: Form): string | null {
  const clientId = form.one("client_id");
  return clientId === null || byCertificateOf(clientId) === null ? null : clientId;
}

function byCertificateOf(clientId: string): "spiffe-x509" | "tls-client" | null {
  if (clientId.startsWith("spiffe://")) return "spiffe-x509";
  return clientId.startsWith(X509_CLIENT_PREFIX) ? "tls-client" : null;
}

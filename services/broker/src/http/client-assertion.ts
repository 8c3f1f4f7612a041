import { BrokerError, Secret, type ClientAssertion } from "@mayfly/spec";
import type { Form } from "./form.ts";
import {
  ASSERTION_TYPE,
  ASSERTIONS,
  CLIENT_ID_CHARACTERS_MAX,
  TOKEN_CHARACTERS_MAX,
} from "./schemas/token.ts";

/**
 * RFC 7521 section 4.2; null where the client does not authenticate itself. Its `client_id` is not
 * needed, and is nothing without an assertion.
 */
export function readClientAssertion(form: Form): ClientAssertion | null {
  const type = form.one("client_assertion_type");
  const token = form.one("client_assertion");
  if (type === null && token === null) return null;
  if (type === null || token === null) {
    throw new BrokerError(
      "invalid_request",
      "client_assertion and client_assertion_type come together or not at all.",
      { where: token === null ? "client_assertion" : "client_assertion_type" },
    );
  }
  const clientId = form.one("client_id");
  if (token.length > TOKEN_CHARACTERS_MAX || (clientId?.length ?? 0) > CLIENT_ID_CHARACTERS_MAX) {
    throw new BrokerError("too_large", "The client's assertion or client_id is too long.", {
      where: token.length > TOKEN_CHARACTERS_MAX ? "client_assertion" : "client_id",
    });
  }
  const known = ASSERTIONS.find((name) => type === `${ASSERTION_TYPE}${name}`);
  if (known !== undefined) return { type: known, token: Secret.of(token), clientId };
  throw new BrokerError(
    "invalid_client",
    `Clients authenticate with ${ASSERTION_TYPE}${ASSERTIONS.join(" or ")}.`,
    { where: "client_assertion_type" },
  );
}

import { createHash } from "node:crypto";
import type { Hono } from "hono";
import type {
  ExchangeReply,
  ExchangeRequest,
  ExchangeSubject,
  IssuedCredential,
} from "@mayfly/core";
import {
  BrokerError,
  Secret,
  type Actor,
  type CallContext,
  type ClientAuthentication,
  type Json,
  type JsonObject,
  type PresentedIdentity,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { readClient, unprovenClientIdOf } from "../client-authentication.ts";
import { parseForm, type Form } from "../form.ts";
import { proveKey } from "../proven-key.ts";
import { readBody } from "../read-body.ts";
import { whenLost } from "../reply-delivery.ts";
import type { CertificateChain } from "../peer-certificates.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import {
  CLIENT_GRANT,
  GRANT,
  ISSUED_TYPE,
  OF_EXCHANGE,
  TOKEN_CHARACTERS_MAX,
  TOKEN_TYPE,
} from "../schemas/token.ts";
import { secondsLeft } from "../seconds-left.ts";
import { parseStrictJson } from "../strict-json.ts";
import { tokenTypeOf } from "../token-type.ts";
import { instantText } from "../views/json-views.ts";

/** Three tokens of 8 KiB and 16 KiB of details, percent-encoded, fit well below it. */
export const TOKEN_BODY_BYTES_MAX = 96 * 1024;
const DETAILS_CHARACTERS_MAX = 16 * 1024;
/** As they are: the adapter writes a plain object without making `Headers` of it. */
const HEADERS = { "Content-Type": "application/json", "Cache-Control": "no-store" } as const;

/** `POST /token`: RFC 8693 token exchange that carries a task (RFC 9396). */
export function tokenRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.post("/token", async (c) => {
    const body = await readBody(c, TOKEN_BODY_BYTES_MAX);
    const request = readExchange(
      headersOf(c),
      body,
      ports.settings.issuer,
      c.get("peerCertificates"),
    );
    await proveKey(c, ports, null);
    c.set("understood", true);
    const call = c.get("call");
    const reply = await aboutSubject(ports.core.exchange(request, call));
    whenLost(c.env?.outgoing, () => endUndelivered(ports, reply, call));
    const text = tokenReply(reply, secondsLeft(ports.clock, reply.taskTokenExpiresAt));
    return new Response(text, { headers: HEADERS });
  });
}

/** A credential that nobody received is ended. Best effort: without it, it ends with its task. */
function endUndelivered(ports: AppPorts, reply: ExchangeReply, call: CallContext): void {
  const by: Actor = { kind: "system", name: "broker" };
  const reason = "the reply did not reach the agent";
  for (const { lease } of reply.credentials) {
    const ended = ports.core.endLease({ leaseId: lease, by, reason }, call);
    ports.afterwork.track(ended).catch((error: unknown) => {
      const fields = { lease, trace: call.traceId };
      ports.log.warn("an undelivered credential was not ended at once", fields, error);
    });
  }
}

/**
 * A task token is the subject token here, not a client's credential: a bad one is answered as any
 * other bad subject token (RFC 8693 section 2.2.2).
 */
export async function aboutSubject<T>(outcome: Promise<T>): Promise<T> {
  try {
    return await outcome;
  } catch (error) {
    if (!BrokerError.is(error) || error.code !== "unauthenticated") throw error;
    throw new BrokerError("invalid_identity", error.message, {
      where: "subject_token",
      public: error.public,
      cause: error.cause,
    });
  }
}

type Headers = (name: string) => string | undefined;
export const headersOf =
  (c: HttpContext): Headers =>
  (name) =>
    c.req.header(name);

/** The exchange that a form asks for. Also what `/v1/explain` reads. */
export function readExchange(
  headers: Headers,
  body: string,
  issuer: string,
  peerCertificates: () => CertificateChain | null = () => null,
): ExchangeRequest {
  refuseAuthorization(headers);
  const form = parseForm(headers("content-type") ?? null, body);
  const grant = form.required("grant_type");
  if (grant !== GRANT && grant !== CLIENT_GRANT) {
    throw new BrokerError(
      "unsupported_grant_type",
      `This endpoint offers the grants ${GRANT} and ${CLIENT_GRANT} only.`,
      { where: "grant_type" },
    );
  }
  const client = readClient(form, peerCertificates);
  checkTarget(form, issuer);
  if (form.one("scope") !== null) {
    throw new BrokerError("invalid_scope", "There are no scopes here.", { where: "scope" });
  }
  const requested = form.one("requested_token_type");
  if (requested !== null && requested !== ISSUED_TYPE) {
    throw new BrokerError("invalid_request", `Only ${ISSUED_TYPE} is issued here.`, {
      where: "requested_token_type",
    });
  }
  return {
    ...(grant === CLIENT_GRANT
      ? { subject: ofClient(form, client), actor: null }
      : { subject: readSubject(form), actor: readActor(form) }),
    client,
    ...(client === null ? { unprovenClientId: unprovenClientIdOf(form) } : {}),
    details: readDetails(form),
    idempotency: readIdempotency(headers, body),
  };
}

/**
 * RFC 6749 section 5.2: whoever authenticates by this header is told that it does not count. Passed
 * over, a client whose secret is wrong would take it that the secret is right.
 */
function refuseAuthorization(headers: Headers): void {
  if (headers("authorization") === undefined) return;
  throw new BrokerError("invalid_client", "No client authenticates with an Authorization header.", {
    where: "Authorization",
    public: {
      hint:
        "Leave the header out: an exchange shows who asks by its subject_token, and a client by its " +
        "client_assertion or by its certificate. A task token is the subject_token.",
    },
  });
}

/** RFC 6749 section 4.4: the client asks for itself, and so must say who it is. */
function ofClient(form: Form, client: ClientAuthentication | null): ExchangeSubject {
  const other = OF_EXCHANGE.find((name) => form.one(name) !== null);
  if (other !== undefined) {
    throw new BrokerError("invalid_request", `${other} is of the grant ${GRANT}.`, {
      where: other,
    });
  }
  if (client !== null) return { kind: "client" };
  throw new BrokerError(
    "invalid_client",
    `The grant ${CLIENT_GRANT} needs a client_assertion, or a certificate by mTLS and as client_id ` +
      "its SPIFFE ID, or x509:<trust root>#<client> of a registered client.",
    { where: "client_assertion" },
  );
}

/** `resource` and `audience` may name this broker alone (RFC 8693 section 2.1). */
function checkTarget(form: Form, issuer: string): void {
  for (const name of ["resource", "audience"]) {
    if (form.all(name).some((value) => value !== issuer)) {
      throw new BrokerError("invalid_target", `Tokens are issued for ${issuer} alone.`, {
        where: name,
      });
    }
  }
}

function readToken(form: Form, name: string): Secret {
  const token = form.required(name);
  if (token.length > TOKEN_CHARACTERS_MAX) {
    throw new BrokerError(
      "too_large",
      `${name} is longer than ${TOKEN_CHARACTERS_MAX} characters.`,
      { where: name },
    );
  }
  return Secret.of(token);
}

/**
 * `access_token` is a task token of ours; `jwt` and `id_token` prove an identity. Other types are
 * not accepted, `refresh_token` among them.
 */
function readSubject(form: Form): ExchangeSubject {
  const token = readToken(form, "subject_token");
  const type = form.required("subject_token_type");
  if (type === ISSUED_TYPE) return { kind: "task_token", token };
  if (type === `${TOKEN_TYPE}jwt` || type === `${TOKEN_TYPE}id_token`) {
    return { kind: "identity", presented: { kind: "jwt", token } };
  }
  throw new BrokerError(
    "invalid_request",
    `subject_token_type must be ${TOKEN_TYPE}jwt, ${TOKEN_TYPE}id_token, or ${ISSUED_TYPE} for a task token.`,
    { where: "subject_token_type" },
  );
}

function readActor(form: Form): PresentedIdentity | null {
  const token = form.one("actor_token");
  const type = form.one("actor_token_type");
  if (token === null && type === null) return null;
  if (token === null || type === null) {
    throw new BrokerError(
      "invalid_request",
      "actor_token and actor_token_type come together or not at all.",
      { where: token === null ? "actor_token" : "actor_token_type" },
    );
  }
  if (type !== `${TOKEN_TYPE}jwt` && type !== `${TOKEN_TYPE}id_token`) {
    throw new BrokerError(
      "invalid_request",
      `actor_token_type must be ${TOKEN_TYPE}jwt or ${TOKEN_TYPE}id_token.`,
      {
        where: "actor_token_type",
      },
    );
  }
  return { kind: "jwt", token: readToken(form, "actor_token") };
}

/** RFC 9396 section 2: an array of objects; here of exactly one, the task. */
function readDetails(form: Form): unknown {
  const name = "authorization_details";
  const text = form.required(name);
  const refuse = (why: string): BrokerError =>
    new BrokerError("invalid_task", `${name}: ${why}`, { where: name });
  if (text.length > DETAILS_CHARACTERS_MAX) {
    throw refuse(`is longer than ${DETAILS_CHARACTERS_MAX} characters.`);
  }
  const value = parseStrictJson(text, name, "invalid_task");
  if (!Array.isArray(value)) throw refuse("must be an array that holds one object.");
  const objects: readonly unknown[] = value;
  if (objects.length !== 1) throw refuse("must hold exactly one object of type mayfly-task.");
  return objects[0];
}

/** 1 to 255 visible ASCII characters, as the Idempotency-Key draft of the IETF has it. */
function readIdempotency(headers: Headers, body: string): ExchangeRequest["idempotency"] {
  const key = headers("idempotency-key");
  if (key === undefined) return null;
  if (!/^[\x21-\x7e]{1,255}$/.test(key) || key.includes(",")) {
    throw new BrokerError(
      "invalid_request",
      "Idempotency-Key must be 1 to 255 visible ASCII characters without a comma.",
      { where: "Idempotency-Key" },
    );
  }
  return { key, bodySha256: createHash("sha256").update(body).digest("hex") };
}

/** The one place where a secret is written: the reply to the agent that it was minted for. */
function tokenReply(reply: ExchangeReply, expiresInSeconds: number): string {
  const { task } = reply;
  return JSON.stringify({
    access_token: reply.taskToken.expose("reply"),
    issued_token_type: ISSUED_TYPE,
    token_type: tokenTypeOf(task),
    expires_in: expiresInSeconds,
    task: {
      id: task.id,
      state: task.state,
      parent: task.parentId,
      deadline: instantText(task.deadlineAt),
      idle_timeout_seconds: task.descriptor.idleTimeoutSeconds,
    },
    authorization_details: reply.authorizationDetails,
    credentials: reply.credentials.map(credentialReply),
  });
}

const credentialReply = (credential: IssuedCredential): JsonObject => ({
  lease: credential.lease,
  role: credential.role,
  kind: credential.kind,
  expires_at: instantText(credential.expiresAt),
  expiry_enforced_by: credential.expiryEnforcedBy,
  revocation: credential.revocation,
  data: exposed(credential.material),
});

function exposed(material: IssuedCredential["material"]): JsonObject {
  const data: Record<string, Json> = {};
  for (const [name, value] of Object.entries(material)) {
    data[name] = value instanceof Secret ? value.expose("reply") : value;
  }
  return data;
}

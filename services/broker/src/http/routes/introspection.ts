import type { Hono } from "hono";
import type { IntrospectedToken, TaskTokenWithTask } from "@mayfly/core";
import {
  actClaim,
  BrokerError,
  clientIdOf,
  confirmationClaim,
  holderOf,
  NotKnownYet,
  Secret,
  type JsonObject,
  type Task,
} from "@mayfly/spec";
import type { AppPorts } from "../app.ts";
import { mayReadTask } from "../author.ts";
import { actorOf, callerOf, owns, type Caller } from "../caller.ts";
import { readClient } from "../client-authentication.ts";
import { parseForm, type Form } from "../form.ts";
import { proveCertificate, proveKey } from "../proven-key.ts";
import { readBody } from "../read-body.ts";
import type { Env, HttpContext } from "../request-scope.ts";
import { credentialIntrospection, revokeCredential } from "../credential-token.ts";
import { TOKEN_CHARACTERS_MAX } from "../schemas/token.ts";
import { tooOften } from "../source-pace.ts";
import { tokenTypeOf } from "../token-type.ts";

/** Two tokens of 8 KiB, percent-encoded, fit well below it. */
const BODY_BYTES_MAX = 64 * 1024;
/** A retired key is trusted by no broker for longer, but for what their clocks differ. */
const STILL_TRUSTED_SECONDS = 5;

/** RFC 7662 introspection and RFC 7009 revocation of task tokens, and of backends' own tokens. */
export function introspectionRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.post("/introspect", async (c) => {
    const form = await readForm(c);
    const token = tokenOf(form);
    const caller = await senderOf(c, form, ports);
    if (caller === null) throw noClient();
    c.set("understood", true);
    const call = c.get("call");
    const found = await ports.core.introspect(token, call);
    if (found === null) return c.json(await credentialIntrospection(ports, caller, token));
    // Whoever may not see the task learns as little as of a token that never was.
    const seen = found.isActive ? await sightOf(ports, caller, found) : null;
    if (seen === null) return c.json({ active: false });
    return c.json(introspection(found, ports.settings.issuer, seen));
  });
  app.post("/revoke", async (c) => {
    const form = await readForm(c);
    const token = tokenOf(form);
    const sender = await senderOf(c, form, ports);
    c.set("understood", true);
    const guesses = sender === null ? guessesOf(c, ports) : null;
    const task = await lookedFor(guesses, () => ports.core.taskTokenToEnd(token));
    if (task === null) {
      const credential = await lookedFor(guesses, () => ports.core.credentialToEnd(token));
      if (credential === null) guesses?.failed();
      else await revokeCredential(c, ports, sender, credential);
    } else await revokeTask(c, ports, sender, task);
    // RFC 7009 section 2.2; another's token too, so that none of them can be told apart.
    return c.body(null, 200);
  });
}

interface Guesses {
  failed(): void;
  areTooMany(): boolean;
}

/** Who guesses at tokens is slowed like who guesses at proofs; ends are listened to even so. */
function guessesOf(c: HttpContext, { sourcePace }: AppPorts): Guesses {
  const address = c.get("call").clientAddress ?? null;
  return {
    failed: () => sourcePace.failed(address),
    areTooMany: () => sourcePace.refuses(address),
  };
}

/** Each made-up key is one that is not known yet: a flood of them is refused, and not logged. */
async function lookedFor<T>(guesses: Guesses | null, look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch (error) {
    if (guesses === null || !(error instanceof NotKnownYet)) throw error;
    guesses.failed();
    throw guesses.areTooMany() ? tooOften : error;
  }
}

/** What it resolves after is durable, or the token counts nowhere. */
async function revokeTask(
  c: HttpContext,
  ports: AppPorts,
  sender: Caller | null,
  { task, standing }: TaskTokenWithTask,
): Promise<void> {
  if (task.state !== "active" || standing === "dead") return;
  const isByOwner = sender !== null && (await owns(ports.tasks, sender, task));
  if (!isByOwner && standing === "retiring") throw stillTrusted();
  if (sender === null) {
    // By a token that a leaked key may have signed, nobody has shown anything.
    if (standing === "retired") throw signedByRetired();
    await asClient(proveHolder(c, ports, task));
  } else if (!isByOwner) return;
  // Durable when it resolves; what revokes each credential is due from then on.
  await ports.core.endTask(
    {
      taskId: task.id,
      by: sender?.actor ?? actorOf(task.workload),
      state: "cancelled",
      reason: "its task token was revoked",
      waitSeconds: 0,
    },
    c.get("call"),
  );
}

/** RFC 7009 section 2.2.1: the client must take it that the token lives. */
const stillTrusted = (): BrokerError =>
  new BrokerError(
    "busy",
    "The key that signed the token was retired just now, and a broker may trust it still.",
    {
      retryAfterSeconds: STILL_TRUSTED_SECONDS,
      public: { hint: "Try again, or show who you are: then the task ends at once." },
    },
  );

/**
 * The token counts nowhere, and its holder cannot know: told 200, it would take its task for ended.
 * Whoever has the key learns by it that a task lives whose id it knows, and nothing else.
 */
const signedByRetired = (): BrokerError =>
  new BrokerError(
    "invalid_client",
    "The key that signed the token was retired: the token counts no more, and its task lives.",
    {
      where: "Authorization",
      public: {
        hint: "Show who you are, as a client or by an identity token: then the task ends.",
      },
    },
  );

/** What a caller is told: as the token has it, or besides who acts where the token hides it. */
type Sight = "as_the_token" | "who_acts";

/**
 * A resource server that the task concerns, without asking policy; and who may read the task. Who
 * may do that knows who acts in any case. Null: a stranger.
 */
async function sightOf(
  ports: AppPorts,
  caller: Caller,
  { task, claims }: IntrospectedToken,
): Promise<Sight | null> {
  const isServed =
    caller.kind === "workload" && (await ports.core.servesTask(caller.identity.workload, task));
  if (isServed && claims.impersonates !== true) return "as_the_token";
  if (await mayReadTask(ports, caller, task)) return "who_acts";
  return isServed ? "as_the_token" : null;
}

async function readForm(c: HttpContext): Promise<Form> {
  const body = await readBody(c, BODY_BYTES_MAX);
  return parseForm(c.req.header("content-type") ?? null, body);
}

function tokenOf(form: Form): Secret {
  const token = form.required("token");
  if (token.length > TOKEN_CHARACTERS_MAX) {
    throw new BrokerError("too_large", "The token is too long.", { where: "token" });
  }
  return Secret.of(token);
}

/** Who sends it, as a client or by the Authorization header. Null: by neither. */
async function senderOf(c: HttpContext, form: Form, ports: AppPorts): Promise<Caller | null> {
  const client = readClient(form, c.get("peerCertificates"));
  if (client === null) {
    return c.req.header("authorization") === undefined ? null : asClient(callerOf(c, ports));
  }
  if (c.req.header("authorization") !== undefined) {
    throw new BrokerError("invalid_request", "There are two ways of authentication at once.", {
      where: "Authorization",
    });
  }
  await proveKey(c, ports, null);
  const identity = await ports.core.authenticateClient(client, c.get("call"));
  return { kind: "workload", actor: actorOf(identity.workload), identity };
}

/** RFC 7009 section 2.1 for a public client: who holds the token, and its key, may end it. */
async function proveHolder(c: HttpContext, ports: AppPorts, task: Task): Promise<void> {
  // As at our own APIs: what is bound to a certificate stays so where new tasks are not to be.
  if (c.req.header("dpop") === undefined) proveCertificate(c);
  else await proveKey(c, ports, null);
  await ports.core.requireHolder(task, c.get("call"));
}

/** RFC 7662 section 2.3: who cannot be authenticated is told so as OAuth says it. */
async function asClient<T>(caller: Promise<T>): Promise<T> {
  try {
    return await caller;
  } catch (error) {
    const isRefusal =
      BrokerError.is(error) &&
      (error.code === "unauthenticated" || error.code === "invalid_identity");
    if (!isRefusal) throw error;
    throw new BrokerError("invalid_client", error.message, {
      ...(error.where === null ? {} : { where: error.where }),
      public: error.public,
      cause: error.cause,
    });
  }
}

const noClient = (): BrokerError =>
  new BrokerError("invalid_client", "This needs a client_assertion or an Authorization header.", {
    where: "Authorization",
  });

function introspection(
  { task, claims }: IntrospectedToken,
  issuer: string,
  sight: Sight,
): JsonObject {
  const { actors = [] } = claims;
  return {
    active: true,
    iss: issuer,
    aud: issuer,
    sub: claims.subject,
    client_id: clientIdOf(holderOf(claims)),
    iat: Math.floor(claims.issuedAt / 1000),
    exp: Math.floor(claims.expiresAt / 1000),
    jti: claims.jti,
    token_type: tokenTypeOf(task),
    ...(claims.confirmation === null ? {} : { cnf: confirmationClaim(claims.confirmation) }),
    task: task.id,
    ...actClaim(sight === "who_acts" ? { actors } : claims),
    authorization_details: claims.authorizationDetails,
  };
}

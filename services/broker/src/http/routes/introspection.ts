import type { Hono } from "hono";
import type { IntrospectedToken } from "@mayfly/core";
import {
  actClaim,
  BrokerError,
  confirmationClaim,
  holderOf,
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
import { tokenTypeOf } from "../token-type.ts";

/** Two tokens of 8 KiB, percent-encoded, fit well below it. */
const BODY_BYTES_MAX = 64 * 1024;

/** RFC 7662 introspection and RFC 7009 revocation of task tokens, and of backends' own tokens. */
export function introspectionRoutes(app: Hono<Env>, ports: AppPorts): void {
  app.post("/introspect", async (c) => {
    const form = await readForm(c);
    const token = tokenOf(form);
    const caller = await senderOf(c, form, ports);
    if (caller === null) throw noClient();
    const call = c.get("call");
    const found = await ports.core.introspect(token, call);
    if (found === null) return c.json(await credentialIntrospection(ports, caller, token));
    // Whoever may not see the task learns as little as of a token that never was.
    if (!found.isActive || !(await mayLook(ports, caller, found.task))) {
      return c.json({ active: false });
    }
    return c.json(introspection(found, ports.settings.issuer));
  });
  app.post("/revoke", async (c) => {
    const form = await readForm(c);
    const token = tokenOf(form);
    const sender = await senderOf(c, form, ports);
    const found = await ports.core.introspect(token, c.get("call"));
    if (found === null) {
      await revokeCredential(c, ports, sender, token);
      return c.body(null, 200);
    }
    const caller = sender ?? (await asClient(callerHolding(c, ports, token)));
    const { task } = found;
    if (task.state === "active" && (await owns(ports.tasks, caller, task))) {
      // Durable when it resolves; what revokes each credential is due from then on.
      await ports.core.endTask(
        {
          taskId: task.id,
          by: caller.actor,
          state: "cancelled",
          reason: "its task token was revoked",
          waitSeconds: 0,
        },
        c.get("call"),
      );
    }
    // RFC 7009 section 2.2; another's token too, so that none of them can be told apart.
    return c.body(null, 200);
  });
}

/** A registered resource server, without asking policy; and who may read the task. */
const mayLook = async (ports: AppPorts, caller: Caller, task: Task): Promise<boolean> =>
  (await isResourceServer(ports, caller)) || mayReadTask(ports, caller, task);

const isResourceServer = async ({ core }: AppPorts, caller: Caller): Promise<boolean> =>
  caller.kind === "workload" && (await core.servedAudiences(caller.identity.workload)) !== null;

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
async function callerHolding(c: HttpContext, ports: AppPorts, token: Secret): Promise<Caller> {
  // As at our own APIs: what is bound to a certificate stays so where new tasks are not to be.
  if (c.req.header("dpop") === undefined) proveCertificate(c);
  else await proveKey(c, ports, null);
  const { task } = await ports.core.authenticateTask(token, c.get("call"));
  return { kind: "task", actor: actorOf(task.workload), task, token };
}

/** RFC 7662 section 2.3: who cannot be authenticated is told so as OAuth says it. */
async function asClient(caller: Promise<Caller>): Promise<Caller> {
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

function introspection({ task, claims }: IntrospectedToken, issuer: string): JsonObject {
  return {
    active: true,
    iss: issuer,
    aud: issuer,
    sub: claims.subject,
    client_id: holderOf(claims),
    iat: Math.floor(claims.issuedAt / 1000),
    exp: Math.floor(claims.expiresAt / 1000),
    jti: claims.jti,
    token_type: tokenTypeOf(task),
    ...(claims.confirmation === null ? {} : { cnf: confirmationClaim(claims.confirmation) }),
    task: task.id,
    ...actClaim(claims),
    authorization_details: claims.authorizationDetails,
  };
}

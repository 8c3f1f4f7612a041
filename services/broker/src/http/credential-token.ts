import type { CredentialToEnd, IntrospectedCredential } from "@mayfly/core";
import { actClaim, BrokerError, workloadName, type JsonObject, type Secret } from "@mayfly/spec";
import type { AppPorts } from "./app.ts";
import { mayReadTask } from "./author.ts";
import { actorOf, owns, type Caller } from "./caller.ts";
import { proveCertificate, proveKey } from "./proven-key.ts";
import type { HttpContext } from "./request-scope.ts";
import { tokenTypeOf } from "./token-type.ts";

const INACTIVE: JsonObject = { active: false };

/**
 * RFC 7662 section 2.2 of a token that a backend signed for an API. Besides who may read its task,
 * only a resource server that the token is for is told anything (section 4: no other may learn of
 * it).
 */
export async function credentialIntrospection(
  ports: AppPorts,
  caller: Caller,
  token: Secret,
): Promise<JsonObject> {
  const found = await ports.core.introspectCredential(token);
  if (found === null || !found.isActive) return INACTIVE;
  const isServed = await isServedBy(ports, caller, found);
  const { task } = found;
  const hidesActor = task.descriptor.impersonate === true;
  const isReader = (!isServed || hidesActor) && (await mayReadTask(ports, caller, task));
  if (!isServed && !isReader) return INACTIVE;
  // The fixed claims stand with the others, as in the token; `active` is nobody's claim.
  return {
    ...found.claims,
    // Who may read the task knows who acts in any case.
    ...(hidesActor && isReader ? actClaim({ actors: [workloadName(task.workload)] }) : {}),
    active: true,
    token_type: tokenTypeOf(found),
  };
}

async function isServedBy(
  ports: AppPorts,
  caller: Caller,
  { audience }: IntrospectedCredential,
): Promise<boolean> {
  if (caller.kind !== "workload") return false;
  const served = await ports.core.servedAudiences(caller.identity.workload);
  return audience.some((each) => served?.has(each));
}

/**
 * RFC 7009: ends the lease of a token that a backend signed, where its sender owns the task, or
 * holds the token and its key. Durable when it resolves. Everybody else is answered the same.
 */
export async function revokeCredential(
  c: HttpContext,
  ports: AppPorts,
  sender: Caller | null,
  found: CredentialToEnd,
): Promise<void> {
  if (found.isEnded) return;
  const { lease, task } = found;
  if (sender === null) await requireHolder(c, ports, found);
  else if (!(await owns(ports.tasks, sender, task))) return;
  await ports.core.endLease(
    {
      leaseId: lease.id,
      by: sender?.actor ?? actorOf(task.workload),
      // Unless it is bound, whoever was shown it may: the record does not blame the agent.
      reason: sender === null ? "revoked by a holder of its token" : "its token was revoked",
    },
    c.get("call"),
  );
}

/** RFC 7009 section 2.1 for a public client: who holds the token, and the key it is bound to. */
async function requireHolder(
  c: HttpContext,
  ports: AppPorts,
  { confirmation }: Pick<CredentialToEnd, "confirmation">,
): Promise<void> {
  if (confirmation === null) return;
  if (c.req.header("dpop") === undefined) proveCertificate(c);
  else await proveKey(c, ports, null);
  const { provenKey } = c.get("call");
  if (provenKey?.confirmation !== confirmation) {
    throw new BrokerError(
      "invalid_client",
      provenKey === undefined
        ? "The token is bound to a key, and came without proof of that key."
        : "The token is bound to another key than the one that was proven.",
      { where: "DPoP" },
    );
  }
  await provenKey.spend();
}

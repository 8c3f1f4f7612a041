import {
  BrokerError,
  tagOf,
  type BackendId,
  type CallContext,
  type CredentialBackend,
  type JsonObject,
  type RegisteredBackend,
  type SecretRotation,
} from "@mayfly/spec";
import { authorise } from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import { backendResource } from "../administer/resources.ts";
import type { CoreParts } from "../core-parts.ts";
import { knownType, noBackend, registerBackend, type BackendRegistered } from "./backends.ts";

type Change = (config: JsonObject) => JsonObject;

/**
 * Replaces the secret by which the broker itself logs in. First a configuration with the new secret
 * beside the old one is registered, sealed, then the upstream is given the new one, and then the
 * old one is taken out. An upstream that makes secrets itself is asked for one only after it is
 * registered that this will be done. In between, each process logs in by whichever is accepted;
 * after a crash, the next call goes on where this one was. Throws as registering does, and as the
 * upstream.
 */
export async function rotateBackend(
  parts: CoreParts,
  id: BackendId,
  by: Author,
  context: CallContext,
): Promise<BackendRegistered> {
  const before = await current(parts, id);
  const resources = [backendResource(id, before?.type ?? null)] as const;
  await authorise(parts, by, { action: "register", resources });
  if (before === null) throw noBackend(id);
  const rotation = rotationOf(knownType(parts, before.type), id);
  await refuseObstacle(parts, before, rotation);
  const put = (registered: RegisteredBackend, change: Change): Promise<BackendRegistered> =>
    putChanged(parts, registered, change, by, context);
  const { random, clock } = parts.ports;
  await put(before, (config) => rotation.begin(config, random, clock.now()));
  if (rotation.madeBy === "upstream") {
    const begun = await stillThere(parts, id);
    const obtained = await parts.openBackends.use(begun, async ({ obtainSecret }) => {
      if (obtainSecret === undefined) throw new Error("a type whose secret is made obtains none");
      return obtainSecret(context);
    });
    if (obtained !== null) await put(begun, (config) => rotation.take(config, obtained));
  }
  const both = await stillThere(parts, id);
  await parts.openBackends.use(both, async ({ adoptSecret }) => {
    if (adoptSecret === undefined) throw new Error("a type that rotates cannot adopt a secret");
    await adoptSecret(context);
  });
  return put(both, (config) => rotation.finish(config));
}

const current = async (parts: CoreParts, id: BackendId): Promise<RegisteredBackend | null> =>
  (await parts.catalog.fresh()).backends.get(id)?.registered ?? null;

async function stillThere(parts: CoreParts, id: BackendId): Promise<RegisteredBackend> {
  const registered = await current(parts, id);
  if (registered === null) throw noBackend(id);
  return registered;
}

/** Refused where somebody else has changed it since. */
async function putChanged(
  parts: CoreParts,
  registered: RegisteredBackend,
  change: Change,
  by: Author,
  context: CallContext,
): Promise<BackendRegistered> {
  const { id, type } = registered;
  const config = change(await parts.openBackends.readConfig(registered));
  const precondition = { kind: "unchanged", tags: [tagOf(registered)] } as const;
  return registerBackend(parts, { id, type, config }, by, context, precondition, true);
}

async function refuseObstacle(
  { openBackends }: CoreParts,
  registered: RegisteredBackend,
  rotation: SecretRotation,
): Promise<void> {
  const obstacle = rotation.obstacle(await openBackends.readConfig(registered));
  if (obstacle === null) return;
  throw refusal(`the secret of backend ${registered.id} is not Mayfly's to replace: ${obstacle}`);
}

function rotationOf(type: CredentialBackend, id: BackendId): SecretRotation {
  if (type.rotation !== undefined) return type.rotation;
  throw refusal(`backend ${id} is of type ${type.type}, ${insteadOf(type, id)}`);
}

/** What to do in place of it. */
function insteadOf({ signsTokens, certifies, capabilities }: CredentialBackend, id: BackendId) {
  if (signsTokens === true || certifies === true) {
    return (
      "which logs in nowhere: its keys are Mayfly's own, and replaced when they are due, or early " +
      `by \`mayfly signing-key rotate --backend ${id}\``
    );
  }
  if (capabilities.standingSecret === true) {
    return (
      "whose secret is the one that is handed out: replace it where it is made, and register the " +
      "backend with the new one, which ends the leases of the old"
    );
  }
  return (
    "whose secret Mayfly cannot replace: replace it at the upstream, and register the backend " +
    "with the new one"
  );
}

const refusal = (message: string): BrokerError =>
  new BrokerError("invalid_input", message, { where: "backend" });

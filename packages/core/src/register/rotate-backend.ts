import {
  BackendError,
  BrokerError,
  tagOf,
  type BackendId,
  type CallContext,
  type CredentialBackend,
  type JsonObject,
  type Put,
  type RegisteredBackend,
  type Secret,
  type SecretRotation,
} from "@mayfly/spec";
import { authorise } from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import { backendResource } from "../administer/resources.ts";
import type { CoreParts } from "../core-parts.ts";
import { hasOwnKeys, keepsOwnKeys } from "../own-key-backends.ts";
import {
  knownType,
  noBackend,
  registerBackend,
  type BackendRegistered,
  type ChangeKind,
} from "./backends.ts";

type Change = (config: JsonObject) => JsonObject;
/** The backend as this step left it. */
type Step = (
  registered: RegisteredBackend,
  change: Change,
  kind?: ChangeKind,
) => Promise<RegisteredBackend>;

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
  const rotation = rotationOf(knownType(parts, before.type), before);
  const config = await parts.openBackends.readConfig(before);
  refuseObstacle(id, rotation, config);
  await refuseShared(parts, rotation, before, config);
  const step: Step = async (registered, change, kind) => {
    const { put } = await putChanged(parts, registered, change, by, context, kind);
    return asLeft(parts, registered, put);
  };
  const { random, clock } = parts.ports;
  const begin: Change = (found) => rotation.begin(found, random, clock.now());
  const both =
    rotation.madeBy === "mayfly"
      ? await step(before, begin)
      : await obtain(parts, rotation, step, begin, before, rotation.isUnderWay(config), context);
  await parts.openBackends.use(both, async ({ adoptSecret }) => {
    if (adoptSecret === undefined) throw new Error("a type that rotates cannot adopt a secret");
    await adoptSecret(context);
  });
  return putChanged(parts, both, (found) => rotation.finish(found), by, context);
}

/**
 * The backend with a secret that the upstream made. Whoever began may be at it still, and its
 * secret is about to be destroyed as nobody's: by the new revision it cannot be registered any
 * more. Where certainly none was made, what this call began is taken back.
 */
async function obtain(
  parts: CoreParts,
  rotation: Extract<SecretRotation, { madeBy: "upstream" }>,
  step: Step,
  begin: Change,
  before: RegisteredBackend,
  isUnderWay: boolean,
  context: CallContext,
): Promise<RegisteredBackend> {
  const begun = await step(before, begin, isUnderWay ? "rotation_anew" : "rotation");
  let obtained: Secret | null;
  try {
    obtained = await parts.openBackends.use(begun, async ({ obtainSecret }) => {
      if (obtainSecret === undefined) throw new Error("a type whose secret is made obtains none");
      return obtainSecret(context);
    });
  } catch (error) {
    const isNothing = BackendError.isBackendError(error) && error.effect === "none";
    if (isNothing && !isUnderWay) await takeBack(parts, rotation, step, begun);
    throw error;
  }
  const made = obtained;
  return made === null ? begun : step(begun, (config) => rotation.take(config, made));
}

/** Best effort: what stays is only told as being under way, and the next call goes on with it. */
async function takeBack(
  { ports }: CoreParts,
  rotation: SecretRotation,
  step: Step,
  begun: RegisteredBackend,
): Promise<void> {
  try {
    await step(begun, (config) => rotation.finish(config));
  } catch (error) {
    const fields = { backend: begun.id };
    ports.log.warn("a rotation that obtained no secret is still under way", fields, error);
  }
}

const current = async (parts: CoreParts, id: BackendId): Promise<RegisteredBackend | null> =>
  (await parts.catalog.fresh()).backends.get(id)?.registered ?? null;

/** Not what somebody else has made of it since: that may be another secret. */
async function asLeft(
  parts: CoreParts,
  { id, revision }: RegisteredBackend,
  put: Put,
): Promise<RegisteredBackend> {
  const found = await current(parts, id);
  if (found === null) throw noBackend(id);
  if (found.revision === (put === "unchanged" ? revision : revision + 1)) return found;
  throw new BrokerError(
    "conflict",
    `backend ${id} was changed while its secret is replaced: run \`mayfly backend rotate\` again, ` +
      "which goes on where this call was",
    { where: "backend" },
  );
}

/** Refused where somebody else has changed it since. */
async function putChanged(
  parts: CoreParts,
  registered: RegisteredBackend,
  change: Change,
  by: Author,
  context: CallContext,
  kind: ChangeKind = "rotation",
): Promise<BackendRegistered> {
  const { id, type } = registered;
  const config = change(await parts.openBackends.readConfig(registered));
  const precondition = { kind: "unchanged", tags: [tagOf(registered)] } as const;
  return registerBackend(parts, { id, type, config }, by, context, precondition, kind);
}

function refuseObstacle(id: BackendId, rotation: SecretRotation, config: JsonObject): void {
  const obstacle = rotation.obstacle(config);
  if (obstacle === null) return;
  throw refusal(`the secret of backend ${id} is not Mayfly's to replace: ${obstacle}`);
}

/** Disabled ones included: they end their leases by it. */
async function refuseShared(
  parts: CoreParts,
  rotation: SecretRotation,
  { id, type, upstreamIdentity }: RegisteredBackend,
  config: JsonObject,
): Promise<void> {
  for (const { registered: other } of (await parts.catalog.fresh()).backends.values()) {
    if (other.id === id || other.type !== type) continue;
    const known = await parts.openBackends.readConfig(other);
    const login = { config: known, upstreamIdentity: other.upstreamIdentity };
    if (!rotation.sharesLogin({ config, upstreamIdentity }, login)) continue;
    throw refusal(
      `backend ${other.id} logs in by the secret of backend ${id}, and would be locked out: give ` +
        "each a login of its own, or replace it by hand, and end the old one once all are " +
        "registered with the new one",
    );
  }
}

function rotationOf(type: CredentialBackend, registered: RegisteredBackend): SecretRotation {
  if (type.rotation !== undefined) return type.rotation;
  const { id, describedConfig } = registered;
  throw refusal(`backend ${id} is of type ${type.type}, ${insteadOf(type, id, describedConfig)}`);
}

/** What to do in place of it. */
function insteadOf(type: CredentialBackend, id: BackendId, described: JsonObject): string {
  if (keepsOwnKeys(type, described)) {
    const login = hasSecret(type) ? `${BY_HAND};` : "which has no secret to log in with:";
    return (
      `${login} its keys are Mayfly's own, and replaced when they are due, or early by ` +
      `\`mayfly signing-key rotate --backend ${id}\``
    );
  }
  if (hasOwnKeys(type)) {
    return (
      "whose authority's key is with you: make the next one there, and register the backend with " +
      "it, and with both public keys until what the old one signed has died"
    );
  }
  if (type.capabilities.standingSecret === true) {
    return (
      "whose secret is the one that is handed out: replace it where it is made, and register the " +
      "backend with the new one, which ends the leases of the old"
    );
  }
  return BY_HAND;
}

const BY_HAND =
  "whose secret Mayfly cannot replace: let the upstream accept another one beside it, register " +
  "the backend with the new one, and take the old one away there";

/** A key for hosts, say, beside those that sign. */
const hasSecret = ({ configSchema: { properties } }: CredentialBackend): boolean =>
  Object.values(Object(properties) as Readonly<Record<string, JsonObject>>).some(
    ({ writeOnly }) => writeOnly === true,
  );

const refusal = (message: string): BrokerError =>
  new BrokerError("invalid_input", message, { where: "backend" });

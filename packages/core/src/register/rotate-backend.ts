import {
  BrokerError,
  tagOf,
  type BackendId,
  type CallContext,
  type CredentialBackend,
  type JsonObject,
  type RegisteredBackend,
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
 * old one is taken out. In between, each process logs in by whichever is accepted; after a crash,
 * the next call goes on where this one was. Throws as registering does, and as the upstream.
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
  const type = knownType(parts, before.type);
  const rotation = rotationOf(type, id);
  const put = (registered: RegisteredBackend, change: Change): Promise<BackendRegistered> =>
    putChanged(parts, registered, change, by, context);
  await put(before, (config) => rotation.begin(config, parts.ports.random));
  const both = await current(parts, id);
  if (both === null) throw noBackend(id);
  await parts.openBackends.use(both, async ({ adoptSecret }) => {
    if (adoptSecret === undefined) throw new Error("a type that rotates cannot adopt a secret");
    await adoptSecret(context);
  });
  return put(both, (config) => rotation.finish(config));
}

const current = async (parts: CoreParts, id: BackendId): Promise<RegisteredBackend | null> =>
  (await parts.catalog.fresh()).backends.get(id)?.registered ?? null;

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

function rotationOf(
  { type, rotation }: CredentialBackend,
  id: BackendId,
): NonNullable<CredentialBackend["rotation"]> {
  if (rotation !== undefined) return rotation;
  throw new BrokerError(
    "invalid_input",
    `backend ${id} is of type ${type}, whose secret Mayfly cannot replace: replace it at the ` +
      "upstream, and register the backend with the new one",
    { where: "backend" },
  );
}

import {
  BackendError,
  type CallContext,
  type Probe,
  type Revoked,
  type Secret,
} from "@mayfly/spec";
import { readHandle, type Account } from "./account-mark.ts";
import type { OpenServers } from "./open-servers.ts";

export async function revoke(
  servers: OpenServers,
  handle: Secret,
  context: CallContext,
): Promise<Revoked> {
  await endAccount(servers, readHandle(handle), context);
  return { outcome: "refused" };
}

/** Together with whoever else ends now. Returns when nothing of it is left on any server. */
export async function endAccount(
  { ends }: OpenServers,
  account: Account,
  { signal }: CallContext,
): Promise<void> {
  const end = await ends.run(account, signal);
  if (BackendError.isBackendError(end)) throw end;
}

/** An account that is there, locked or not, counts as accepted: it is to be gone. */
export async function probe(
  { looks }: OpenServers,
  handle: Secret,
  { signal }: CallContext,
): Promise<Probe> {
  const look = await looks.run(readHandle(handle), signal);
  const { servers, accounts, sessions } = look;
  const verdict = accounts + sessions > 0 ? "accepted" : "refused";
  return { verdict, looked: { servers, accounts, sessions } };
}

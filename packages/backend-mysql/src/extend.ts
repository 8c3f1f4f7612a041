import type { InstantMs, IssueContext, Secret } from "@mayfly/spec";
import { readHandle } from "./account-mark.ts";
import { accountsAt } from "./end-accounts.ts";
import { failures } from "./mysql-failure.ts";
import { deadlineIn, type Servers } from "./servers.ts";

/** The server knows no expiry of an account: it lives until it is revoked, if it is there. */
export async function extend(
  servers: Servers,
  handle: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  const deadline = deadlineIn(context, servers.settings.call_seconds_max * 1_000);
  const there = await accountsAt(servers.mints, [readHandle(handle)], deadline);
  if (there.length > 0) return expiresAt;
  throw failures.gone("the account");
}

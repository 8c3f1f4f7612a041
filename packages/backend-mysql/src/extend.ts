import { refuseAborted, refusePast } from "@mayfly/backend-kit";
import { BackendError, type InstantMs, type IssueContext, type Secret } from "@mayfly/spec";
import { readHandle } from "./account-mark.ts";
import { accountsAt } from "./end-account.ts";
import { toBackendError } from "./mysql-failure.ts";
import { deadlineIn, type Servers } from "./servers.ts";

/** The server knows no expiry of an account: it lives until it is revoked, if it is there. */
export async function extend(
  servers: Servers,
  handle: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  refusePast(context, "MySQL, renew");
  refuseAborted(context, "MySQL, renew");
  const account = readHandle(handle);
  const deadline = deadlineIn(context, servers.settings.call_seconds_max * 1_000);
  const count = await accountsAt(servers.mints, account, deadline).catch((thrown: unknown) => {
    throw toBackendError(thrown, "renew");
  });
  if (count > 0) return expiresAt;
  throw new BackendError("MySQL, renew: the account is gone", {
    effect: "none",
    retry: { kind: "never" },
  });
}

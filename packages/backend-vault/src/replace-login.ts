import { BackendError, type CallContext, type Secret } from "@mayfly/spec";
import { adoptSecretId } from "./adopt-secret-id.ts";
import { adoptToken, obtainToken } from "./adopt-token.ts";
import type { Lane } from "./lane.ts";
import { VaultFailure } from "./vault-failure.ts";

/** The next token; a secret id is in the configuration already, as Mayfly makes it. */
export const obtainLogin = (lane: Lane, context: CallContext): Promise<Secret | null> =>
  allowed(async () =>
    lane.settings.login.token === undefined ? null : obtainToken(lane, context),
  );

/** Has the server accept the configuration's own secret, and the one before it no more. */
export const adoptLogin = (lane: Lane, context: CallContext): Promise<void> =>
  allowed(() =>
    lane.settings.login.token === undefined
      ? adoptSecretId(lane, context)
      : adoptToken(lane, context),
  );

async function allowed<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof VaultFailure) || thrown.status !== 403) throw thrown;
    throw new BackendError(
      "Vault: the broker's token may not replace its own login (status 403): give its policy what " +
        "docs/backends/vault.md has under `Rotating the broker's own login`, then rotate again",
      { effect: "none", retry: { kind: "never" } },
    );
  }
}

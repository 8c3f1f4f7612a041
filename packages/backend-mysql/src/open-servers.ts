import { CallBatcher, type CallBatching } from "@mayfly/backend-kit";
import type { BackendHost } from "@mayfly/spec";
import type { Account } from "./account-mark.ts";
import type { ConnectionSettings } from "./connection-settings.ts";
import { endAccounts, type AccountEnd } from "./end-accounts.ts";
import type { Deadline } from "./endpoint.ts";
import { lookAtAccounts, type AccountLook } from "./look-at-accounts.ts";
import { isOfOneStatement, MysqlFailure, MysqlNotTried } from "./mysql-failure.ts";
import { createServers, type Servers } from "./servers.ts";

/** The servers, and what is done at them for many leases at once. */
export interface OpenServers extends Servers {
  readonly ends: CallBatcher<Account, AccountEnd>;
  readonly looks: CallBatcher<Account, AccountLook>;
}

/** What a server does for one it does for so many in little more time. */
const BATCH_MAX = 64;
/** As many as all passes of a process may have under way at one backend. */
const WAITING_MAX = 4_096;
/** While one waits for sessions to be gone, the other is at work. */
const BATCHES_AT_ONCE = 2;
const LIMITS = {
  batchMax: BATCH_MAX,
  waitingMax: WAITING_MAX,
  atOnce: BATCHES_AT_ONCE,
  isOfOne: isOfOneStatement,
  refusal: (why) =>
    why === "given up when it was sent" ? new MysqlFailure("lost", why) : new MysqlNotTried(why),
} as const satisfies Omit<CallBatching<Account, unknown>, "work">;
/** Statements of one batch, one after the other, each bounded by `call_seconds_max`. */
const STATEMENTS_IN_TURN = 4;

export function openServers(
  settings: ConnectionSettings,
  host: BackendHost,
  closing: AbortSignal,
): OpenServers {
  const servers = createServers(settings, host);
  const within = (statements: number): Deadline => ({
    signal: closing,
    byMs: host.clock.monotonicMs() + settings.call_seconds_max * 1_000 * statements,
  });
  return {
    ...servers,
    ends: new CallBatcher({
      ...LIMITS,
      work: (accounts) => endAccounts(servers, accounts, within(STATEMENTS_IN_TURN)),
    }),
    looks: new CallBatcher({
      ...LIMITS,
      work: (accounts) => lookAtAccounts(servers, accounts, within(1)),
    }),
  };
}

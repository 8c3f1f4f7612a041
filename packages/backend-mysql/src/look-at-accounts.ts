import type { Account } from "./account-mark.ts";
import { accountsAt, nameIn, onEach, sessionsOf } from "./end-accounts.ts";
import type { Deadline } from "./endpoint.ts";
import type { Servers } from "./servers.ts";

/** What is left of an account on all servers together. */
export interface AccountLook {
  readonly servers: number;
  readonly accounts: number;
  readonly sessions: number;
}

export async function lookAtAccounts(
  servers: Servers,
  accounts: readonly Account[],
  deadline: Deadline,
): Promise<ReadonlyMap<Account, AccountLook>> {
  const looks = await onEach(servers, async (endpoint) => ({
    accounts: await accountsAt(endpoint, accounts, deadline),
    sessions: await endpoint.session(deadline, async (session) =>
      (await sessionsOf(session, accounts)).map(nameIn),
    ),
  }));
  const found = {
    accounts: countEach(looks.flatMap((look) => look.accounts)),
    sessions: countEach(looks.flatMap((look) => look.sessions)),
  };
  return new Map(
    accounts.map((account) => [
      account,
      {
        servers: looks.length,
        accounts: found.accounts.get(account.name) ?? 0,
        sessions: found.sessions.get(account.name) ?? 0,
      },
    ]),
  );
}

function countEach(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

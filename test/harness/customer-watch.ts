import type postgres from "postgres";
import { pause } from "./until.ts";

/** A role of Mayfly's as the customer's server shows it to its superuser. */
export interface SeenRole {
  readonly oid: number;
  readonly name: string;
  /** False: a tombstone, or one that is being dropped. */
  readonly canLogin: boolean;
}

/** Watches the customer's catalogue beside the test, for what comes and goes between two looks. */
export interface CustomerWatch {
  /** Every role of the installation that was ever seen, by name and OID. */
  readonly seen: ReadonlyMap<string, ReadonlyMap<number, SeenRole>>;
  stop(): Promise<void>;
}

const EVERY_MS = 20;

export const leaseRoleOf = (installation: string, lease: string): string =>
  `mf_${installation}_${lease.slice("lease_".length)}`;

export async function rolesNow(
  customer: postgres.Sql,
  installation: string,
): Promise<readonly SeenRole[]> {
  return customer<SeenRole[]>`
    SELECT oid::int8::float8 AS oid, rolname AS name, rolcanlogin AS "canLogin"
    FROM pg_authid WHERE rolname LIKE ${`mf\\_${installation}\\_%`} ORDER BY rolname`;
}

/** Looks until it is stopped; while the server is away it sees nothing, and goes on. */
export function watchCustomer(customer: postgres.Sql, installation: string): CustomerWatch {
  const seen = new Map<string, Map<number, SeenRole>>();
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      const roles = await rolesNow(customer, installation).catch(() => []);
      for (const role of roles) {
        const known = seen.get(role.name) ?? new Map<number, SeenRole>();
        const before = known.get(role.oid);
        known.set(role.oid, { ...role, canLogin: role.canLogin || before?.canLogin === true });
        seen.set(role.name, known);
      }
      await pause(EVERY_MS);
    }
  })();
  return {
    seen,
    stop: async () => {
      stopped = true;
      await watching;
    },
  };
}

import type { BenchInstallation } from "./bench-installation.ts";

/**
 * What is wrong, if anything: each exchange that was answered has its lease and its role, and none
 * that was refused.
 */
export async function countUp(
  { ledger, customer, ledgerDatabase }: BenchInstallation,
  exchanged: number,
): Promise<readonly string[]> {
  const [leases] = await ledger<{ n: number }[]>`
    SELECT count(*)::int AS n FROM mayfly.leases WHERE state = 'active'`;
  const [roles] = await customer<{ n: number }[]>`
    SELECT count(*)::int AS n FROM pg_roles
    WHERE rolname LIKE ${`mf\\_${ledgerDatabase.installation}\\_%`}`;
  const found = { leases: leases?.n ?? 0, roles: roles?.n ?? 0 };
  if (found.leases === exchanged && found.roles === exchanged) return [];
  return [`${exchanged} exchanges left ${found.leases} leases and ${found.roles} roles`];
}

import { mintAsOrdered } from "@mayfly/testkit";
import { POOL_LEDGER, openPoolLedger, type PoolLedgerAt } from "./pooled-ledger.ts";
import { pooledRoles } from "./pooled-roles.ts";

/** A program that mints one lease, to be frozen on the way. */
const at = JSON.parse(process.env[POOL_LEDGER] ?? "") as PoolLedgerAt;
const { host } = await openPoolLedger(at);
await mintAsOrdered(pooledRoles, host);

import { Secret, type Issued } from "@mayfly/spec";
import type { BackendBench } from "@mayfly/testkit/contract";
import { DATABASE_ROLE, accountsOf, mountDatabase, writeDatabaseRole } from "./database-engine.ts";
import { startFakeVault, type FakeVault } from "./fake-vault.ts";
import { startRealVault, type VaultServer } from "./vault-server.ts";
import {
  prepareVault,
  startVaultBench,
  startVaultUpstream,
  type UseOfMaterial,
  type VaultUpstream,
} from "./vault-upstream.ts";

/** An engine's credentials on a server, open, and how its engine is looked at and broken. */
export interface EngineBench {
  readonly upstream: VaultUpstream;
  readonly bench: BackendBench;
  /** Accounts that the engine made and that are there still. */
  accounts(): Promise<readonly string[]>;
  /** Until `mend`, the engine cannot revoke. */
  breakEngine(): Promise<{ mend(): Promise<void> }>;
  stop(): Promise<void>;
}

export function useAccount({ engine }: FakeVault): UseOfMaterial {
  const tryCredential = async ({ username, password }: Issued["material"]) =>
    typeof username === "string" &&
    password instanceof Secret &&
    engine.accounts.get(username) === password.expose("upstream")
      ? "accepted"
      : "refused";
  return {
    tryCredential,
    openSession: async (material) => ({
      alive: async () => (await tryCredential(material)) === "accepted",
      close: async () => undefined,
    }),
  };
}

export async function startFakeEngine(): Promise<EngineBench & { readonly fake: FakeVault }> {
  const fake = await startFakeVault();
  await prepareVault(fake);
  const upstream = await startVaultUpstream(fake, { role: DATABASE_ROLE, use: useAccount(fake) });
  const started = await startVaultBench(upstream);
  return {
    ...started,
    upstream,
    fake,
    accounts: async () => [...fake.engine.accounts.keys()],
    breakEngine: async () => {
      fake.engine.fails = true;
      return {
        mend: async () => {
          fake.engine.fails = false;
        },
      };
    },
  };
}

/** A real OpenBao, whose engine manages a real PostgreSQL. */
export async function startRealEngine(): Promise<EngineBench> {
  const server = await startRealVault();
  await prepareVault(server);
  const { customer, use } = await mountDatabase(server);
  await mountCertificates(server);
  const stop = (): Promise<void> => customer.stop();
  const upstream = await startVaultUpstream(server, { role: DATABASE_ROLE, use, stop });
  const started = await startVaultBench(upstream);
  return {
    ...started,
    upstream,
    accounts: () => accountsOf(customer),
    // The engine reads its way to revoke when it does.
    breakEngine: async () => {
      await writeDatabaseRole(server, ["SELECT 1 / 0"]);
      return { mend: () => writeDatabaseRole(server) };
    },
  };
}

async function mountCertificates(server: VaultServer): Promise<void> {
  await server.api("POST", "sys/mounts/pki", { type: "pki" });
  await server.api("POST", "pki/root/generate/internal", { common_name: "Agents", ttl: "24h" });
  await server.api("POST", "pki/roles/agents", {
    allowed_domains: "agents.test",
    allow_subdomains: true,
    max_ttl: "1h",
  });
}

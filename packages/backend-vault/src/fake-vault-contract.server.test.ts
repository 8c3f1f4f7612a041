import { describeBackendContract } from "@mayfly/testkit/contract";
import { DATABASE_ROLE } from "./testing/database-engine.ts";
import { startFakeVault } from "./testing/fake-vault.ts";
import { useAccount } from "./testing/vault-benches.ts";
import { inputs, unreachableConfig } from "./testing/vault-inputs.ts";
import {
  TOKEN_ROLE,
  prepareVault,
  startVaultUpstream,
  useToken,
} from "./testing/vault-upstream.ts";
import { vaultBackend } from "./vault-backend.ts";

const subject = { backend: vaultBackend, inputs, unreachableConfig, protocol: "http" } as const;

describeBackendContract({
  ...subject,
  name: "Vault's fake, tokens",
  start: async () => {
    const server = await startFakeVault();
    await prepareVault(server);
    return startVaultUpstream(server, { role: TOKEN_ROLE, use: useToken(server) });
  },
});

describeBackendContract({
  ...subject,
  name: "Vault's fake, an engine",
  start: async () => {
    const server = await startFakeVault();
    await prepareVault(server);
    return startVaultUpstream(server, { role: DATABASE_ROLE, use: useAccount(server) });
  },
});

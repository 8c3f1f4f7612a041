import { requireOrExplain } from "@mayfly/embedded";
import { describeBackendContract } from "@mayfly/testkit/contract";
import { describe } from "vitest";
import { DATABASE_ROLE, mountDatabase } from "./testing/database-engine.ts";
import { inputs, unreachableConfig } from "./testing/vault-inputs.ts";
import { startRealVault } from "./testing/vault-server.ts";
import {
  TOKEN_ROLE,
  prepareVault,
  startVaultUpstream,
  useToken,
} from "./testing/vault-upstream.ts";
import { vaultBackend } from "./vault-backend.ts";

const program = await requireOrExplain("openbao");
const subject = { backend: vaultBackend, inputs, unreachableConfig, protocol: "http" } as const;

describe.runIf(program !== undefined)("on a real server", () => {
  describeBackendContract({
    ...subject,
    name: "OpenBao, tokens",
    start: async () => {
      const server = await startRealVault();
      await prepareVault(server);
      return startVaultUpstream(server, { role: TOKEN_ROLE, use: useToken(server) });
    },
  });
  describeBackendContract({
    ...subject,
    name: "OpenBao, an engine over PostgreSQL",
    start: async () => {
      const server = await startRealVault();
      await prepareVault(server);
      const { customer, use } = await mountDatabase(server);
      const stop = (): Promise<void> => customer.stop();
      return startVaultUpstream(server, { role: DATABASE_ROLE, use, stop });
    },
  });
});

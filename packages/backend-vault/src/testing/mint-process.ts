import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import { createRecordingLog, createTestBackendHost, mintAsOrdered } from "@mayfly/testkit";
import { vaultBackend } from "../vault-backend.ts";

/** A program that mints one lease, to be killed on the way. */
await mintAsOrdered(
  vaultBackend,
  createTestBackendHost({
    clock: systemClock,
    random: systemRandom,
    log: createRecordingLog(),
    apis: createOutboundApis(),
    installation: "contract",
  }),
);

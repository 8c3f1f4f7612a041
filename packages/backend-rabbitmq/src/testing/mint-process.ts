import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import { createRecordingLog, createTestBackendHost, mintAsOrdered } from "@mayfly/testkit";
import { rabbitmqBackend } from "../rabbitmq-backend.ts";

/** A program that mints one lease, to be killed on the way. */
await mintAsOrdered(
  rabbitmqBackend,
  createTestBackendHost({
    clock: systemClock,
    random: systemRandom,
    log: createRecordingLog(),
    apis: createOutboundApis(),
    installation: "contract",
  }),
);

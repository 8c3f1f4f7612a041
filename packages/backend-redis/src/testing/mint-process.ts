import { systemClock, systemRandom } from "@mayfly/host";
import { createRecordingLog, createTestBackendHost, mintAsOrdered } from "@mayfly/testkit";
import { redisBackend } from "../redis-backend.ts";

/** A program that mints one lease, to be killed on the way. */
await mintAsOrdered(
  redisBackend,
  createTestBackendHost({
    clock: systemClock,
    random: systemRandom,
    log: createRecordingLog(),
    installation: "contract",
  }),
);

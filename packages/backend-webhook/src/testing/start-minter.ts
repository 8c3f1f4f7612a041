import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import type { PoolingHost } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";
import { createMinter } from "./reference-minter.ts";

export const AUDIENCE = "https://minter.test/mayfly";
/** Of the host that tests open backends with. */
const ISSUER = "https://broker.test/backends/tested-backend";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
export const SIGNING_KEY = privateKey.export({ format: "pem", type: "pkcs8" }).toString();

interface Place {
  readonly host: string;
  readonly port: number;
}

export const configAt = ({ host, port }: Place) => ({
  url: `http://${host}:${port}/mayfly`,
  audience: AUDIENCE,
  signing_key: SIGNING_KEY,
  tls: "unsafe_disable",
});

export const minterHost = (installation = "contract"): PoolingHost =>
  createTestBackendHost({
    clock: systemClock,
    random: systemRandom,
    log: createRecordingLog(),
    apis: createOutboundApis(),
    installation,
    quarantineSeconds: 1,
  });

/** The reference minter, listening; its requests can be held up. */
export async function startMinter() {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-minter-"));
  const file = join(folder, "leases.db");
  const jwk = publicKey.export({ format: "jwk" });
  const minter = createMinter({ publicKey: jwk, issuer: ISSUER, audience: AUDIENCE, file });
  let gate: Promise<unknown> = Promise.resolve();
  const server = createServer((request, response) => {
    gate.then(
      () => minter.serve(request, response),
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return {
    ...minter,
    at: { host: "127.0.0.1", port: address.port },
    /** Until it is resolved, what is asked waits. */
    block: (): PromiseWithResolvers<undefined> => {
      const held = Promise.withResolvers<undefined>();
      gate = held.promise;
      return held;
    },
    stop: async (): Promise<void> => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      minter.db.close();
      await rm(folder, { recursive: true });
    },
  };
}

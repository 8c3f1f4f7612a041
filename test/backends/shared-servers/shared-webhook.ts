import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTcpFaultProxy } from "@mayfly/testkit";
import { z } from "zod";
import { createMinter } from "../../../packages/backend-webhook/src/testing/reference-minter.ts";
import { ISSUER } from "../../harness/index.ts";
import { CLEAR, textIn } from "../upstreams/upstream.ts";
import { isOf, type RunningServer, type SharedServer } from "./shared-server.ts";

const AUDIENCE = "https://minter.test/mayfly";
const names = z.array(z.object({ name: z.string() }));

async function start(): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-minter-"));
  const pair = generateKeyPairSync("ed25519");
  const minter = createMinter({
    publicKey: pair.publicKey.export({ format: "jwk" }),
    issuer: `${ISSUER}/backends/webhook`,
    audience: AUDIENCE,
    file: join(folder, "leases.db"),
  });
  const server = createServer(minter.serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const proxy = await startTcpFaultProxy({ host: "127.0.0.1", port });
  const config = {
    url: `http://127.0.0.1:${proxy.port}/mayfly`,
    audience: AUDIENCE,
    signing_key: pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    ...CLEAR,
  };
  return {
    type: "webhook",
    proxy,
    mintSends: [isIssue],
    register: ({ put }) =>
      put("webhook", { type: "webhook", config }, { allowed: { scopes: ["orders:read"] } }),
    liveNames: async (installation) =>
      names
        .parse(minter.db.prepare("SELECT name FROM leases WHERE ended = 0").all())
        .map(({ name }) => name)
        .filter(isOf(installation)),
    accepts: async (data) => minter.accepts(textIn(data, "token")),
    stop: async () => {
      await proxy.stop();
      server.close();
      server.closeAllConnections();
      minter.db.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** A request is a signed JWT, whose claims say the operation. */
function isIssue(piece: string): boolean {
  const [, claims = ""] = /\.([\w-]+)\.[\w-]+$/.exec(piece.trimEnd()) ?? [];
  return Buffer.from(claims, "base64url").toString().includes('"operation":"issue"');
}

export const sharedWebhook: SharedServer = { type: "webhook", server: null, start };

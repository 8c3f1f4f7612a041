import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMinter } from "../../../packages/backend-webhook/src/testing/reference-minter.ts";
import { CLEAR, textIn, type Upstream } from "./upstream.ts";

export const webhookUpstream: Upstream = {
  type: "webhook",
  server: null,
  outcome: "revoked",
  refusedBy: "the reference minter's own check",
  register: async ({ mayfly, put }) => {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-minter-"));
    const pair = generateKeyPairSync("ed25519");
    const audience = "https://minter.test/mayfly";
    const minter = createMinter({
      publicKey: pair.publicKey.export({ format: "jwk" }),
      issuer: `${mayfly.issuer}/backends/webhook`,
      audience,
      file: join(folder, "leases.db"),
    });
    const server = createServer(minter.serve);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const config = {
      url: `http://127.0.0.1:${port}/mayfly`,
      audience,
      signing_key: pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
      ...CLEAR,
    };
    await put("webhook", { type: "webhook", config }, { allowed: { scopes: ["orders:read"] } });
    const count = minter.db.prepare("SELECT count(*) AS n FROM leases WHERE ended = 0");
    return {
      version: "the reference minter",
      tryCredential: async (data) =>
        minter.accepts(textIn(data, "token")) ? "accepted" : "refused",
      openSession: null,
      live: async () => Number(count.get()?.["n"]),
      ownLogin: null,
      stop: async () => {
        server.close();
        server.closeAllConnections();
        minter.db.close();
        await rm(folder, { recursive: true });
      },
    };
  },
};

import { execFileSync } from "node:child_process";
import { constants } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { Secret } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { BackendBench, revoking } from "@mayfly/testkit/contract";
import {
  playingTheCore,
  startCertificateUpstream,
  type CertificateUpstream,
} from "./testing/certificate-upstream.ts";
import { x509Backend } from "./x509-backend.ts";

const openssl = await requireOrExplain("openssl");
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];

interface Holder {
  readonly cert: string;
  readonly key: string;
}
const textOf = (value: unknown): string => (value instanceof Secret ? value.expose("reply") : "");

describe.runIf(openssl !== undefined)("a server that has read the list", () => {
  let upstream: CertificateUpstream;
  let bench: BackendBench;
  let own: Holder;
  beforeAll(async () => {
    upstream = await startCertificateUpstream(openssl ?? "", createFakeClock(systemClock.now()));
    bench = new BackendBench({ backend: playingTheCore(x509Backend) }, upstream);
    const folder = mkdtempSync(join(tmpdir(), "mayfly-resumed-"));
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const args = ["req", "-x509", ...KEY, "-subj", "/CN=localhost", "-keyout", key, "-out", cert];
    execFileSync(openssl ?? "", args, { stdio: "ignore" });
    own = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
    rmSync(folder, { recursive: true });
  });
  afterAll(() => upstream?.stop());

  const documents = async () => ({
    ca: await upstream.document("ca.pem"),
    crl: await upstream.document("crl.pem"),
  });
  async function startServer(options: tls.SecureContextOptions): Promise<tls.Server> {
    const asks = { requestCert: true, rejectUnauthorized: true };
    const server = tls.createServer({ ...own, ...asks, ...options }, (socket) =>
      socket.end("let in"),
    );
    // A client that is refused is none of the server's errors.
    server.on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server;
  }
  async function visit(
    { port }: AddressInfo,
    shown: Holder | { readonly session: Buffer },
  ): Promise<{ readonly letIn: boolean; readonly session: Buffer | undefined }> {
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...shown });
    let session: Buffer | undefined;
    socket.on("session", (given) => {
      session = given;
    });
    let said = "";
    try {
      for await (const part of socket) said += String(part);
    } catch {
      // It was refused.
    }
    return { letIn: said === "let in", session };
  }

  test.each([
    ["lets in whoever resumes a session from before it", {}, true],
    ["and resumes no session lets nobody in", { secureOptions: constants.SSL_OP_NO_TICKET }, false],
  ])("%s", async (_, options, letIn) => {
    const { material, handle } = await bench.open.issue(bench.plan(300), bench.issueCall());
    const holder = { cert: textOf(material["certificate"]), key: textOf(material["private_key"]) };
    const server = await startServer({ ...options, ...(await documents()) });
    try {
      const address = server.address() as AddressInfo;
      const before = await visit(address, holder);
      expect(before.letIn).toBe(true);
      const session = before.session ?? expect.fail("no session was given");
      const ticketKeys = server.getTicketKeys();
      await revoking(bench.open).revoke(handle, bench.call());
      await upstream.pass(1_000);
      // As servers do that are several, or that keep their keys when they read a list.
      server.setSecureContext({ ...own, ...options, ...(await documents()), ticketKeys });
      expect((await visit(address, holder)).letIn).toBe(false);
      expect((await visit(address, { session })).letIn).toBe(letIn);
    } finally {
      server.close();
    }
  });
});

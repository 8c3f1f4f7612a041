import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { describe, expect, it } from "vitest";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { testCertificate, type TestCertificate } from "./testing/test-certificate.ts";
import { createTestEdge } from "./testing/test-edge.ts";
import { readTlsPair } from "./tls-files.ts";
import { createServedTls } from "./tls-reload.ts";

interface Files extends AsyncDisposable {
  readonly paths: { readonly cert: string; readonly key: string };
  write(pair: TestCertificate, mode?: number): Promise<void>;
}

async function files(): Promise<Files> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-tls-"));
  const paths = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
  return {
    paths,
    write: async ({ cert, key }, mode = 0o600) => {
      await writeFile(paths.cert, cert);
      await writeFile(paths.key, key);
      await chmod(paths.key, mode);
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

const clock = createFakeClock();
const DAY_MS = 86_400_000;
const day = (days: number): string => new Date(clock.now() + days * DAY_MS).toISOString();
const whyNot = async (reading: Promise<unknown>): Promise<string> =>
  reading.then(
    () => "it was read",
    (error: unknown) => String(error),
  );

describe("the certificate's files", () => {
  it.each([
    [
      "a certificate that has expired",
      { until: -1 },
      "MAYFLY_TLS_CERT_FILE: the certificate expired",
    ],
    [
      "one that does not count yet",
      { from: 1 },
      "MAYFLY_TLS_CERT_FILE: the certificate counts from",
    ],
  ])(
    "with %s are refused",
    async (_what, { from, until }: { from?: number; until?: number }, why) => {
      await using written = await files();
      await written.write(
        testCertificate({
          ...(from === undefined ? {} : { from: day(from) }),
          ...(until === undefined ? {} : { until: day(until) }),
        }),
      );
      expect(await whyNot(readTlsPair(written.paths, clock.now()))).toContain(why);
    },
  );
  it("with the key of another certificate are refused", async () => {
    await using written = await files();
    const [one, other] = [testCertificate(), testCertificate()];
    await written.write({ cert: one.cert, key: other.key });
    expect(await whyNot(readTlsPair(written.paths, clock.now()))).toContain(
      "MAYFLY_TLS_KEY_FILE: it is not the key of MAYFLY_TLS_CERT_FILE",
    );
  });
  it("whose key others may read are refused with the command to run, and a group may", async () => {
    await using written = await files();
    const pair = testCertificate();
    for (const mode of [0o604, 0o644, 0o666, 0o620]) {
      await written.write(pair, mode);
      expect(await whyNot(readTlsPair(written.paths, clock.now()))).toContain("chmod 600");
    }
    await written.write(pair, 0o440);
    expect((await readTlsPair(written.paths, clock.now())).key).toBe(pair.key);
  });
  it("that are not there or hold something else are refused, and not quoted", async () => {
    await using written = await files();
    const read = (): Promise<string> => whyNot(readTlsPair(written.paths, clock.now()));
    expect(await read()).toContain("MAYFLY_TLS_CERT_FILE");
    const { cert, key } = testCertificate();
    for (const pair of [
      { cert: "hunter2", key },
      { cert, key: "hunter2" },
      { cert: key, key },
      { cert, key: cert },
    ]) {
      await written.write(pair);
      const why = await read();
      expect(why).toContain("expected");
      expect(why).not.toMatch(/hunter2|BEGIN/);
    }
  });
});

describe("a broker with a certificate", () => {
  it("serves a new one to new connections, and keeps the old one while the new is none", async () => {
    await using written = await files();
    const log = createRecordingLog();
    const [first, second] = [testCertificate(), testCertificate({ until: day(3) })];
    await written.write(first);
    const pair = await readTlsPair(written.paths, clock.now());
    const { server, setCertificate } = createTestEdge(() => new Response("ok"), clock, pair);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const served = createServedTls(setCertificate, written.paths, pair, { clock, log });
    const shown = (): Promise<string> => certificateAt(port);
    const old = await shown();
    await written.write({ cert: second.cert, key: first.key });
    await served.reload();
    await served.reload();
    expect([await shown(), log.messages("error")]).toEqual([
      old,
      ["TLS certificate not replaced: the old one stays"],
    ]);
    expect(JSON.stringify(log.entries)).not.toContain("BEGIN");
    await written.write(second);
    await served.reload();
    expect(await shown()).not.toBe(old);
    expect(new Date(served.expiresAt()).toISOString()).toBe(day(3).replace(/\d{3}Z$/, "000Z"));
    await served.reload();
    expect(log.messages("warn")).toEqual(["the TLS certificate expires soon"]);
    await expect(certificateAt(port, "TLSv1.1")).rejects.toThrow(/protocol|alert/i);
    server.close();
    server.closeAllConnections();
  });
});

/** The fingerprint of the certificate that a new connection is shown. */
async function certificateAt(port: number, version?: "TLSv1.1"): Promise<string> {
  const socket = connect({
    port,
    host: "127.0.0.1",
    // Its own trust is not what this is about: the certificate is self-signed.
    rejectUnauthorized: false,
    ...(version === undefined ? {} : { maxVersion: version, minVersion: version }),
  });
  await once(socket, "secureConnect");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testCertificate } from "../../services/broker/src/testing/test-certificate.ts";
import { startInstallation } from "../harness/index.ts";

test("a broker with a certificate serves HTTPS alone, and refuses to start with one that expired", async () => {
  await using mayfly = await startInstallation();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-edge-"));
  const settings = {
    MAYFLY_TLS_CERT_FILE: join(folder, "cert.pem"),
    MAYFLY_TLS_KEY_FILE: join(folder, "key.pem"),
  };
  const write = async ({ cert, key }: { readonly cert: string; readonly key: string }) => {
    await writeFile(settings.MAYFLY_TLS_CERT_FILE, cert);
    await writeFile(settings.MAYFLY_TLS_KEY_FILE, key);
    await chmod(settings.MAYFLY_TLS_KEY_FILE, 0o600);
  };
  const pair = testCertificate();
  await write(pair);
  const broker = await mayfly.startBroker(settings);
  const { hostname, port } = new URL(broker.api.url);
  expect(await statusOf(hostname, Number(port), pair.cert)).toBe(200);
  await broker.stop();
  expect(await broker.exited).toMatchObject({ code: 0 });
  await write(testCertificate({ until: "2021-01-01" }));
  await expect(mayfly.startBroker(settings)).rejects.toThrow("the certificate expired");
  await rm(folder, { recursive: true, force: true });
});

const statusOf = (host: string, port: number, ca: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const request = get(
      {
        host,
        port,
        path: "/readyz",
        ca,
        servername: "localhost",
        agent: false,
        checkServerIdentity: () => undefined,
      },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    request.on("error", reject);
  });

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { BrokerError, instantMs, type InstantMs } from "@mayfly/spec";

export interface TlsPaths {
  readonly cert: string;
  readonly key: string;
}
/** A certificate and its key that fit, as of one moment. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
  readonly expiresAt: InstantMs;
}

/**
 * Reads both files, and checks that they are what a server can serve now: PEM, of one pair, within
 * the certificate's time, and the key readable by its owner and group alone. Throws
 * `config_invalid`, which names the variable and never holds what is in a file.
 */
export async function readTlsPair(paths: TlsPaths, now: InstantMs): Promise<TlsPair> {
  const cert = await textOf(paths.cert, "MAYFLY_TLS_CERT_FILE");
  const { mode } = await stat(paths.key).catch(() => ({ mode: 0 }));
  // A group may read: that is how Kubernetes gives a secret to a process that is not root.
  if ((mode & 0o037) !== 0) {
    throw refused(
      "MAYFLY_TLS_KEY_FILE",
      `others may read ${paths.key}; run: chmod 600 ${paths.key}`,
    );
  }
  const key = await textOf(paths.key, "MAYFLY_TLS_KEY_FILE");
  const certificate = parsed("MAYFLY_TLS_CERT_FILE", "a PEM certificate", () => {
    return new X509Certificate(cert);
  });
  const privateKey = parsed("MAYFLY_TLS_KEY_FILE", "a PEM private key without a password", () =>
    createPrivateKey(key),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw refused("MAYFLY_TLS_KEY_FILE", "it is not the key of MAYFLY_TLS_CERT_FILE");
  }
  const from = Date.parse(certificate.validFrom);
  const expiresAt = instantMs(Date.parse(certificate.validTo));
  if (now >= expiresAt) {
    throw refused("MAYFLY_TLS_CERT_FILE", `the certificate expired at ${certificate.validTo}`);
  }
  if (now < from) {
    throw refused(
      "MAYFLY_TLS_CERT_FILE",
      `the certificate counts from ${certificate.validFrom} on`,
    );
  }
  parsed("MAYFLY_TLS_CERT_FILE", "certificates that TLS can serve", () =>
    createSecureContext({ cert, key, minVersion: "TLSv1.2" }),
  );
  return { cert, key, expiresAt };
}

const refused = (name: string, why: string): BrokerError =>
  new BrokerError("config_invalid", `${name}: ${why}`, { where: name });

async function textOf(path: string, name: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw refused(name, `${path} cannot be read (${code})`);
  }
}

function parsed<T>(name: string, expected: string, parse: () => T): T {
  try {
    return parse();
  } catch {
    // What OpenSSL says may quote the file.
    throw refused(name, `expected ${expected}`);
  }
}

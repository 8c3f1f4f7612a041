import { X509Certificate, createPrivateKey } from "node:crypto";
import { Secret, type AgentSvid } from "@mayfly/spec";

const DOMAINS_MAX = 1000;
const CERTIFICATES_MAX = 100;
const TRUST_DOMAIN = /^spiffe:\/\/([a-z0-9._-]{1,255})$/;

/** The `bundles` of a message, by trust domain. Throws where it has none that can be read. */
export function readBundles(message: unknown): ReadonlyMap<string, Uint8Array> {
  const bundles = memberOf(message, "bundles");
  const entries = Object.entries(typeof bundles === "object" && bundles !== null ? bundles : {});
  if (entries.length > DOMAINS_MAX) throw new Error("too many trust domains");
  return new Map(
    entries.map(([key, value]: [string, unknown]) => {
      const domain = TRUST_DOMAIN.exec(key)?.[1];
      if (domain === undefined || !(value instanceof Uint8Array)) throw new Error("no bundle");
      return [domain, value];
    }),
  );
}

/** The first SVID, which is the workload's default one (SPIFFE Workload API section 5.2.1). */
export function readSvid(message: unknown): AgentSvid {
  const svids = memberOf(message, "svids");
  const first: unknown = Array.isArray(svids) ? svids[0] : undefined;
  const spiffeId = memberOf(first, "spiffe_id");
  const chain = memberOf(first, "x509_svid");
  const key = memberOf(first, "x509_svid_key");
  if (typeof spiffeId !== "string") throw new Error("no SVID");
  if (!(chain instanceof Uint8Array) || !(key instanceof Uint8Array)) throw new Error("no SVID");
  const privateKey = createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" });
  return {
    spiffeId,
    chain: splitCertificates(chain),
    privateKey: Secret.of(String(privateKey.export({ format: "pem", type: "pkcs8" }))),
  };
}

/** Certificates in DER that stand one after the other. Throws at anything else. */
function splitCertificates(bytes: Uint8Array): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  let left = Buffer.from(bytes);
  while (left.length > 0) {
    if (found.length === CERTIFICATES_MAX) throw new Error("too many certificates");
    const { raw } = new X509Certificate(left);
    if (!left.subarray(0, raw.length).equals(raw)) throw new Error("no certificates in DER");
    found.push(raw);
    left = left.subarray(raw.length);
  }
  return found;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

import { X509Certificate } from "node:crypto";
import {
  BrokerError,
  instantMs,
  type AgentSvid,
  type Clock,
  type Log,
  type WorkloadApi,
} from "@mayfly/spec";
import type { TlsPair } from "./tls-files.ts";
import type { ServedTls } from "./tls-reload.ts";

/** How long a start waits for the agent's first SVID. */
const FIRST_MS_MAX = 15_000;

/** A pair to begin with, and what serves each that comes after it. */
export interface TlsSource {
  readonly pair: TlsPair;
  serve(setCertificate: (pair: TlsPair) => void): ServedTls;
}

/**
 * The broker's own X509-SVID as the certificate that it serves: each that the agent tells is served
 * to new connections at once. Throws `config_invalid` where the agent gives none in time.
 */
export async function tlsFromAgent(
  api: WorkloadApi,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<TlsSource> {
  const first = Promise.withResolvers<TlsPair>();
  let newest: TlsPair | null = null;
  let changed: (pair: TlsPair) => void = () => undefined;
  api.followSvid((svid) => {
    const pair = tryPairOf(svid, log);
    if (pair === null) return;
    const expiresAt = new Date(pair.expiresAt).toISOString();
    log.info("TLS certificate of the SPIFFE agent in use", {
      spiffe_id: svid.spiffeId,
      expires_at: expiresAt,
    });
    newest = pair;
    first.resolve(pair);
    changed(pair);
  });
  const pair = await within(FIRST_MS_MAX, first.promise, clock);
  if (pair === null) {
    throw new BrokerError(
      "config_invalid",
      "MAYFLY_TLS_FROM_WORKLOAD_API: the agent at MAYFLY_WORKLOAD_API has given no X509-SVID; " +
        "register an entry for the broker",
    );
  }
  return {
    pair,
    serve: (setCertificate) => {
      changed = setCertificate;
      const now = (): TlsPair => newest ?? pair;
      if (now() !== pair) setCertificate(now());
      // The agent tells of a newer one by itself.
      return { expiresAt: () => now().expiresAt, reload: async () => undefined };
    },
  };
}

function tryPairOf({ chain, privateKey }: AgentSvid, log: Log): TlsPair | null {
  try {
    const certificates = chain.map((der) => new X509Certificate(der));
    const [leaf] = certificates;
    if (leaf === undefined) throw new Error("no certificate");
    return {
      cert: certificates.map(String).join(""),
      key: privateKey.expose("crypto"),
      expiresAt: instantMs(leaf.validToDate.getTime()),
    };
  } catch {
    log.error("an X509-SVID of the SPIFFE agent cannot be served");
    return null;
  }
}

async function within<T>(ms: number, work: Promise<T>, clock: Clock): Promise<T | null> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).then(
    () => null,
    () => null,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort(new Error("done"));
  }
}

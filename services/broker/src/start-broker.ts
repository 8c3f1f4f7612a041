import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Server as TlsServer } from "node:tls";
import {
  BACKEND_TYPES,
  composeParts,
  fileSchemas,
  recentLook,
  type Parts,
} from "@mayfly/composition";
import type { BrokerSettings } from "@mayfly/settings";
import { bootstrapAdministrators } from "./administrators.ts";
import { createAdmission } from "./http/admission.ts";
import { createApp, type AppPorts } from "./http/app.ts";
import { createAfterwork, type Afterwork } from "./http/afterwork.ts";
import { createClientAddress, createFromProxy } from "./http/client-address.ts";
import { createPeerCertificates } from "./http/peer-certificates.ts";
import { createEdgeServer } from "./http/edge-server.ts";
import { createSourcePace, type SourcePace } from "./http/source-pace.ts";
import { every } from "./every.ts";
import { lookAtReadiness } from "./readiness.ts";
import { stopServer, type StopOutcome } from "./stop-server.ts";
import { readTlsPair, type TlsPaths } from "./tls-files.ts";
import { tlsFromAgent, type TlsSource } from "./tls-from-agent.ts";
import { createServedTls, type ServedTls } from "./tls-reload.ts";
import {
  countCertificate,
  countConnections,
  countReadiness,
  requestMeter,
} from "./start-metering.ts";

export interface RunningBroker {
  /** Where it listens, for instance `http://127.0.0.1:8420`. */
  readonly url: string;
  /** Within this long, {@link close} has cut what is under way and is done. */
  readonly stopMsMax: number;
  close(): Promise<StopOutcome>;
}

/** Node's limits on a request: a slow or endless one is cut. */
const HEADERS_MS_MAX = 10_000;
const REQUEST_MS_MAX = 30_000;
/** How often Node looks for such; its own half a minute would make 40 s of the 10. */
const LIMITS_LOOK_MS = 2_000;
const HEADER_BYTES_MAX = 32 * 1024;
const NODE_LIMITS = {
  headersTimeout: HEADERS_MS_MAX,
  requestTimeout: REQUEST_MS_MAX,
  connectionsCheckingInterval: LIMITS_LOOK_MS,
  maxHeaderSize: HEADER_BYTES_MAX,
} as const;
/** Who takes no whole answer for so long is cut off: it is in memory until then. */
const UNREAD_MS_MAX = 60_000;
/** How old an answer of `/readyz` may be: it asks the ledger that exchanges need. */
const READINESS_MS_MAX = 1000;
const ROTATION_INTERVAL_MS = 60_000;
/** How often the certificate's files are looked at. */
const TLS_INTERVAL_MS = 10_000;
/** Beyond drain and stop: what was cut is settled, connections to the ledger are closed. */
const STOP_REST_MS = 15_000;

/** Starts the HTTP API. Throws `config_invalid` or `ledger_unavailable`; then nothing listens. */
export async function startBroker(
  settings: BrokerSettings,
  logTo: { write(line: string): unknown },
): Promise<RunningBroker> {
  const parts = await composeParts(settings, { name: "broker", logTo });
  const stop = new AbortController();
  try {
    await parts.taskTokens.rotate(parts.clock.now());
    const state = { isStopping: false };
    const tls = await tlsOf(settings, parts);
    const { server, afterwork, served } = await listen(settings, parts, tls, state);
    countCertificate(parts, served);
    const loops = [
      every(ROTATION_INTERVAL_MS, parts, stop.signal, () =>
        parts.taskTokens.rotate(parts.clock.now()),
      ),
      every(ROTATION_INTERVAL_MS, parts, stop.signal, () => parts.core.rotateBackendKeys()),
      ...(served === null
        ? []
        : [every(TLS_INTERVAL_MS, parts, stop.signal, () => served.reload())]),
    ];
    const url = urlOf(settings, server);
    parts.log.info("broker listens", { host: settings.listen.host, port: portOf(server) });
    return {
      url,
      stopMsMax: (settings.drainSeconds + settings.stopSeconds) * 1000 + STOP_REST_MS,
      close: async () => {
        state.isStopping = true;
        const outcome = await stopServer(server, { ...parts, afterwork, settings });
        stop.abort();
        await Promise.all(loops);
        await parts.close();
        return outcome;
      },
    };
  } catch (error) {
    stop.abort();
    await parts.close();
    throw error;
  }
}

const tlsPathsOf = ({ tlsCertFile, tlsKeyFile }: BrokerSettings): TlsPaths | null =>
  tlsCertFile === null || tlsKeyFile === null ? null : { cert: tlsCertFile, key: tlsKeyFile };

/** Files, the SPIFFE agent, or null: plain HTTP. */
async function tlsOf(settings: BrokerSettings, parts: Parts): Promise<TlsSource | null> {
  const paths = tlsPathsOf(settings);
  if (settings.tlsFromWorkloadApi && parts.workloadApi !== null) {
    return tlsFromAgent(parts.workloadApi, parts);
  }
  if (paths === null) return null;
  const pair = await readTlsPair(paths, parts.clock.now());
  return { pair, serve: (setCertificate) => createServedTls(setCertificate, paths, pair, parts) };
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

function urlOf({ listen: { host } }: BrokerSettings, server: Server): string {
  const scheme = server instanceof TlsServer ? "https" : "http";
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${portOf(server)}`;
}

interface Listening {
  readonly server: Server;
  readonly afterwork: Afterwork;
  readonly served: ServedTls | null;
}

async function listen(
  settings: BrokerSettings,
  parts: Parts,
  tls: TlsSource | null,
  state: { readonly isStopping: boolean },
): Promise<Listening> {
  const { ledger } = parts;
  const afterwork = createAfterwork();
  const isStopping = (): boolean => state.isStopping;
  // The server is made of the application, and readiness looks at the server's certificate.
  let served: ServedTls | null = null;
  const readiness = recentLook(parts.clock, READINESS_MS_MAX, () =>
    lookAtReadiness({ parts, ...settings, isStopping, tls: served }),
  );
  countReadiness(parts, readiness);
  const admission = createAdmission(parts.clock);
  const readers = connectionReaders(settings);
  const sourcePace = sourcePaceOf(settings, parts);
  const meter = requestMeter(parts.metrics);
  const app = createApp({
    core: parts.core,
    tasks: ledger.tasks,
    queries: ledger.queries,
    selectorEnds: ledger.selectorEnds,
    sequencer: ledger.sequencer,
    exporter: ledger.exporter,
    taskTokens: parts.taskTokens,
    ...signingKeysOf(parts),
    dpop: parts.dpopProofs(settings.dpopNonces),
    sealing: parts.sealing,
    administrators: bootstrapAdministrators(() => ledger.bootstrapTokenSha256()),
    clock: parts.clock,
    random: parts.random,
    log: parts.log,
    tracer: parts.tracer,
    meter,
    admission,
    settings,
    ...installedTypes(),
    setUp: {
      unsafeSettings: parts.unsafeSettings,
      sweepIntervalSeconds: settings.sweepIntervalSeconds,
      listingIntervalSeconds: settings.listingIntervalSeconds,
    },
    ...readers,
    sourcePace,
    afterwork,
    isStopping,
    readiness,
  });
  const { server, setCertificate } = createEdgeServer({
    fetch: (request, bindings) => afterwork.track(Promise.resolve(app.fetch(request, bindings))),
    random: parts.random,
    issuer: settings.issuer,
    admission,
    sourcePace,
    clientAddress: readers.clientAddress,
    meter,
    isStopping,
    ...connectionBounds(settings),
    limits: NODE_LIMITS,
    unreadMsMax: UNREAD_MS_MAX,
    clock: parts.clock,
    tls: tls?.pair ?? null,
  });
  if (tls !== null) served = tls.serve(setCertificate);
  countConnections(server, parts.metrics);
  await listening(server, settings);
  return { server, afterwork, served };
}

const installedTypes = (): Pick<AppPorts, "fileSchemas" | "backendTypes"> => ({
  fileSchemas: fileSchemas(BACKEND_TYPES),
  backendTypes: BACKEND_TYPES,
});

const signingKeysOf = (parts: Parts): Pick<Parts, "signingKeys" | "backendSigningKeys"> => ({
  signingKeys: parts.signingKeys,
  backendSigningKeys: (id) => parts.backendSigningKeys(id),
});

/** Seconds' worth of refused proofs that may come at once. */
const FAILURES_BURST_SECONDS = 10;
const sourcePaceOf = ({ sourceFailuresPerSecond }: BrokerSettings, parts: Parts): SourcePace =>
  createSourcePace(
    {
      failuresPerSecond: sourceFailuresPerSecond,
      failuresAtOnce: Math.max(1, sourceFailuresPerSecond * FAILURES_BURST_SECONDS),
    },
    parts,
  );

/** What is read of the connection that a request came over. */
const connectionReaders = (settings: BrokerSettings) => ({
  clientAddress: createClientAddress(settings),
  peerCertificates: createPeerCertificates(settings, createFromProxy(settings)),
});

/** By default a quarter of all connections is left to others, whatever one source does. */
const SHARE_OF_ONE_SOURCE = 0.75;
const connectionBounds = (settings: BrokerSettings) => ({
  connectionsMax: settings.connectionsMax,
  connectionsPerSourceMax:
    settings.connectionsPerSourceMax === 0
      ? Math.ceil(settings.connectionsMax * SHARE_OF_ONE_SOURCE)
      : settings.connectionsPerSourceMax,
  isFromProxy: createFromProxy(settings),
});

const listening = (server: Server, { listen: { host, port } }: BrokerSettings): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });

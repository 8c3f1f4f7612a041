import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { BACKEND_TYPES, composeParts, fileSchemas, type Parts } from "@mayfly/composition";
import type { BrokerSettings } from "@mayfly/settings";
import { bootstrapAdministrators } from "./administrators.ts";
import { createApp } from "./http/app.ts";
import { boundConnections, boundPipelining } from "./http/bound-connections.ts";
import { every } from "./every.ts";
import { countConnections, requestMeter } from "./start-metering.ts";
import { recentLook } from "./shared-look.ts";

export interface RunningBroker {
  /** Where it listens, for instance `http://127.0.0.1:8420`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Node's limits on a request: a slow or endless one is cut. */
const HEADERS_MS_MAX = 10_000;
const REQUEST_MS_MAX = 30_000;
const HEADER_BYTES_MAX = 32 * 1024;
/** How old an answer of `/readyz` may be: it asks the ledger that exchanges need. */
const READINESS_MS_MAX = 1000;
const ROTATION_INTERVAL_MS = 60_000;

/** Starts the HTTP API. Throws `config_invalid` or `ledger_unavailable`; then nothing listens. */
export async function startBroker(
  settings: BrokerSettings,
  logTo: { write(line: string): unknown },
): Promise<RunningBroker> {
  const parts = await composeParts(settings, { name: "broker", logTo });
  const stop = new AbortController();
  try {
    await parts.taskTokens.rotate(parts.clock.now());
    const server = await listen(settings, parts);
    const rotation = every(ROTATION_INTERVAL_MS, parts, stop.signal, () =>
      parts.taskTokens.rotate(parts.clock.now()),
    );
    const { port } = server.address() as AddressInfo;
    const host = settings.listen.host.includes(":")
      ? `[${settings.listen.host}]`
      : settings.listen.host;
    parts.log.info("broker listens", { host, port });
    return {
      url: `http://${host}:${port}`,
      close: async () => {
        stop.abort();
        await closeServer(server);
        await rotation;
        await parts.close();
      },
    };
  } catch (error) {
    stop.abort();
    await parts.close();
    throw error;
  }
}

async function listen(settings: BrokerSettings, parts: Parts): Promise<Server> {
  const { ledger } = parts;
  const app = createApp({
    core: parts.core,
    tasks: ledger.tasks,
    queries: ledger.queries,
    selectorEnds: ledger.selectorEnds,
    sequencer: ledger.sequencer,
    exporter: ledger.exporter,
    taskTokens: parts.taskTokens,
    signingKeys: parts.signingKeys,
    sealing: parts.sealing,
    administrators: bootstrapAdministrators(() => ledger.bootstrapTokenSha256()),
    clock: parts.clock,
    random: parts.random,
    log: parts.log,
    tracer: parts.tracer,
    meter: requestMeter(parts.metrics),
    settings: { issuer: settings.issuer },
    fileSchemas: fileSchemas(BACKEND_TYPES),
    readiness: recentLook(parts.clock, READINESS_MS_MAX, () =>
      ledger.catalog.version().then(
        () => true,
        () => false,
      ),
    ),
  });
  const server = createAdaptorServer({
    fetch: boundPipelining(app.fetch),
    serverOptions: {
      headersTimeout: HEADERS_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
  }) as Server;
  boundConnections(server, settings.connectionsMax);
  countConnections(server, parts.metrics);
  const { host, port } = settings.listen;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return server;
}

/** Lets requests under way end; idle connections are closed at once. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
    server.closeIdleConnections();
  });
}

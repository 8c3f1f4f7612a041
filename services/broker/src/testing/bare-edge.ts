import type { Server } from "node:http";
import { BrokerError, type Clock, type Log, type Random, type Tracer } from "@mayfly/spec";
import { createAdmission } from "../http/admission.ts";
import { createClientAddress } from "../http/client-address.ts";
import { createEdgeServer } from "../http/edge-server.ts";
import { parseForm } from "../http/form.ts";
import { readBody } from "../http/read-body.ts";
import { unmetered } from "../http/request-meter.ts";
import { createShell } from "../http/shell.ts";
import { createSourcePace } from "../http/source-pace.ts";

export interface BareEdgePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tracer: Tracer;
}

const BODY_BYTES_MAX = 96 * 1024;
const HEADERS = { "Content-Type": "application/json", "Cache-Control": "no-store" } as const;
const ISSUER = "https://mayfly.test";

/**
 * The HTTP server as the broker has it, over a token endpoint that only reads its form and says how
 * many characters of `name` there were: what the edge alone costs.
 */
export function createBareEdge(ports: BareEdgePorts, name: string): Server {
  const admission = createAdmission(ports.clock);
  const clientAddress = createClientAddress({
    trustedProxies: [],
    trustedProxyHeader: "x-forwarded-for",
  });
  const isStopping = (): boolean => false;
  const pace = { failuresAtOnce: 200, failuresPerSecond: 20 };
  const sourcePace = createSourcePace(pace, ports);
  const around = { admission, sourcePace, clientAddress, meter: unmetered, isStopping };
  const settings = { issuer: ISSUER, certificateBoundTokens: false };
  const dpop = { algorithms: [], nonce: () => null };
  const peerCertificates = (): null => null;
  const app = createShell({ ...ports, ...around, peerCertificates, settings, dpop });
  app.post("/token", async (c) => {
    const body = await readBody(c, BODY_BYTES_MAX);
    const value = parseForm(c.req.header("content-type") ?? null, body).one(name);
    if (value === null) throw new BrokerError("invalid_request", `${name} is missing.`);
    return new Response(JSON.stringify({ length: value.length }), { headers: HEADERS });
  });
  const { server } = createEdgeServer({
    ...around,
    fetch: app.fetch,
    random: ports.random,
    issuer: ISSUER,
    connectionsMax: 2000,
    connectionsPerSourceMax: 1500,
    isFromProxy: () => false,
    limits: {},
    unreadMsMax: 60_000,
    clock: ports.clock,
    tls: null,
  });
  return server;
}

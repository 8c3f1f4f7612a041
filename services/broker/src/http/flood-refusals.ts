import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { BrokerError } from "@mayfly/spec";
import { Crowded, EXCHANGE, isEnding, type Admission } from "./admission.ts";
import type { ClientAddress } from "./client-address.ts";
import type { RefusalPorts } from "./early-refusals.ts";
import { issuerPath } from "./issuer-path.ts";
import { oauthAnswer, problemAnswer } from "./problem.ts";
import { knownMethod, type RequestMeter } from "./request-meter.ts";
import { tooOften, type SourcePace } from "./source-pace.ts";
import { parseTraceparent } from "./traceparent.ts";

export interface FloodPorts extends RefusalPorts {
  readonly admission: Pick<Admission, "refusesExchange">;
  readonly sourcePace: Pick<SourcePace, "refuses" | "malformed">;
  readonly clientAddress: ClientAddress;
  readonly meter: RequestMeter;
  /** From when the process was told to stop. */
  isStopping(): boolean;
}

/**
 * Answers an exchange that finds no place, and whoever is not listened to, as soon as the head of
 * the request is there: no body is read, nobody is authenticated, nothing is logged. The
 * application would refuse an exchange with the same answer, at some ten times the price, and in a
 * flood it is refusals that the process is busy with.
 */
export function refuseFlood(listener: RequestListener, ports: FloodPorts): RequestListener {
  const { admission, meter } = ports;
  const base = issuerPath(ports.issuer);
  return (request, response) => {
    const path = pathOf(request, base);
    const isExchange = request.method === "POST" && path === EXCHANGE;
    const unheard = unheardOf(request, path, ports);
    if (unheard === null) {
      // A process that is about to be gone says so on the connection, which the application does.
      if (!isExchange || ports.isStopping() || !admission.refusesExchange()) {
        listener(request, response);
        return;
      }
    }
    const answered = meter.began();
    refuse(request, response, unheard ?? CROWDED, { ...ports, isExchange });
    const method = knownMethod(request.method ?? "");
    const route = isExchange ? EXCHANGE : "none";
    answered({ method, route, status: response.statusCode, seconds: 0 });
  };
}

const pathOf = ({ url = "" }: IncomingMessage, base: string): string => {
  const [path = ""] = url.split("?", 1);
  return base !== "" && path.startsWith(`${base}/`) ? path.slice(base.length) : path;
};

/**
 * Why a request is not listened to, or null. Who sends nothing to be read or verified costs next to
 * nothing; and an end, or a sign of life, is never refused for what others at the same address have
 * sent.
 */
function unheardOf(
  request: IncomingMessage,
  path: string,
  { sourcePace, clientAddress }: FloodPorts,
): BrokerError | null {
  const { method = "", headers } = request;
  const isLook = LOOKS.has(method) && headers.authorization === undefined;
  if (isLook || isEnding(path)) return null;
  return sourcePace.refuses(clientAddress(request)) ? tooOften : null;
}

const LOOKS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** One for all: what an exception costs is its stack. */
const CROWDED = new Crowded();

function refuse(
  { headers: { traceparent } }: IncomingMessage,
  response: ServerResponse,
  error: BrokerError,
  { random, issuer, isExchange }: RefusalPorts & { readonly isExchange: boolean },
): void {
  const parent = parseTraceparent(typeof traceparent === "string" ? traceparent : null);
  const trace = parent?.traceId ?? Buffer.from(random.bytes(16)).toString("hex");
  const { status, headers, body } = isExchange
    ? oauthAnswer(error, trace)
    : problemAnswer(error, trace, issuer);
  const text = JSON.stringify(body);
  response.writeHead(status, {
    ...headers,
    "Mayfly-Trace": trace,
    "Content-Length": String(Buffer.byteLength(text)),
  });
  response.end(text);
}

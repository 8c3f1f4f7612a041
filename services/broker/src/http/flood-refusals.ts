import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Crowded, EXCHANGE, type Admission } from "./admission.ts";
import type { RefusalPorts } from "./early-refusals.ts";
import { issuerPath } from "./issuer-path.ts";
import { oauthAnswer } from "./problem.ts";
import type { RequestMeter } from "./request-meter.ts";
import { parseTraceparent } from "./traceparent.ts";

export interface FloodPorts extends RefusalPorts {
  readonly admission: Pick<Admission, "refusesExchange">;
  readonly meter: RequestMeter;
  /** From when the process was told to stop. */
  isStopping(): boolean;
}

/**
 * Answers an exchange that finds no place as soon as its head is there: no body is read, nobody is
 * authenticated, nothing is logged. The application would refuse it with the same answer, at some
 * ten times the price, and in a flood it is refusals that the process is busy with.
 */
export function refuseFlood(listener: RequestListener, ports: FloodPorts): RequestListener {
  const { admission, meter } = ports;
  const base = issuerPath(ports.issuer);
  const paths = new Set([EXCHANGE, `${base}${EXCHANGE}`]);
  const isExchange = ({ method, url = "" }: IncomingMessage): boolean =>
    method === "POST" && paths.has(url);
  return (request, response) => {
    // A process that is about to be gone says so on the connection, which the application does.
    if (!isExchange(request) || ports.isStopping() || !admission.refusesExchange()) {
      listener(request, response);
      return;
    }
    const answered = meter.began();
    refuse(request, response, ports);
    answered({ method: "POST", route: EXCHANGE, status: response.statusCode, seconds: 0 });
  };
}

/** One for all: what an exception costs is its stack. */
const CROWDED = new Crowded();

function refuse(
  { headers: { traceparent } }: IncomingMessage,
  response: ServerResponse,
  { random }: RefusalPorts,
): void {
  const parent = parseTraceparent(typeof traceparent === "string" ? traceparent : undefined);
  const trace = parent?.traceId ?? Buffer.from(random.bytes(16)).toString("hex");
  const { status, headers, body } = oauthAnswer(CROWDED, trace);
  const text = JSON.stringify(body);
  response.writeHead(status, {
    ...headers,
    "Mayfly-Trace": trace,
    "Content-Length": String(Buffer.byteLength(text)),
  });
  response.end(text);
}

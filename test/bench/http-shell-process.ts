/**
 * One of the two servers of the row `http-shell`, in a process of its own, named by its argument;
 * it tells its port by IPC. Both read a form and answer with JSON.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createBareEdge } from "@mayfly/broker/testing";
import {
  createJsonLog,
  createTraceScope,
  scopedTracer,
  systemClock,
  systemRandom,
} from "@mayfly/host";

/** Nothing but problems is logged: the other server logs nothing either. */
function mayfly(): Server {
  const scope = createTraceScope();
  const log = createJsonLog({
    stream: process.stderr,
    level: "warn",
    clock: systemClock,
    fields: { service: "broker" },
    currentTrace: () => scope.current(),
  });
  const ports = { clock: systemClock, random: systemRandom, log, tracer: scopedTracer(scope) };
  return createBareEdge(ports, "subject_token");
}

const raw = (): Server =>
  createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const form = new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
      const body = JSON.stringify({ length: form.get("subject_token")?.length ?? 0 });
      response.writeHead(200, {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "Content-Length": Buffer.byteLength(body),
      });
      response.end(body);
    });
  });

const server = process.argv[2] === "raw" ? raw() : mayfly();
server.listen(0, "127.0.0.1", () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on("disconnect", () => process.exit(0));

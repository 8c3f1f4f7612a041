import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  loadPackageDefinition,
  type handleUnaryCall,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const PROTO = fileURLToPath(new URL("workload.proto", import.meta.url));

interface Request {
  readonly audience: readonly string[];
  readonly spiffe_id: string;
}

export interface TestWorkloadApi extends AsyncDisposable {
  /** What a workload has in SPIFFE_ENDPOINT_SOCKET. */
  readonly socket: string;
  readonly requests: readonly Request[];
}

/**
 * An agent's Workload API as SPIFFE Workload Endpoint has it: over a unix socket or TCP, refusing
 * whoever lacks the security header (section 5). `svid` makes the token; null: no entry matches.
 */
export async function startWorkloadApi(
  /** `unix:///path`, or `tcp` for a free port of 127.0.0.1. */
  at: string,
  svid: (audience: string) => string | null,
): Promise<TestWorkloadApi> {
  const requests: Request[] = [];
  const fetchJwtSvid: handleUnaryCall<Request, unknown> = (call, answer) => {
    if (call.metadata.get("workload.spiffe.io").join() !== "true") {
      answer({ code: status.INVALID_ARGUMENT, details: "security header missing" });
      return;
    }
    requests.push(call.request);
    const token = svid(call.request.audience[0] ?? "");
    if (token === null) {
      answer(
        { code: status.PERMISSION_DENIED, details: "no identity issued" },
        null,
        new Metadata(),
      );
      return;
    }
    const id = call.request.spiffe_id || "spiffe://system.test/agent/bot";
    answer(null, { svids: [{ spiffe_id: id, svid: token, hint: "internal" }] });
  };
  const loaded = loadPackageDefinition(loadSync(PROTO, { keepCase: true, defaults: true }));
  // What was loaded is a service, as the file says.
  const { service } = loaded["SpiffeWorkloadAPI"] as ServiceClientConstructor;
  const server = new Server();
  server.addService(service, { FetchJWTSVID: fetchJwtSvid });
  const path = at.startsWith("unix://") ? at.slice("unix://".length) : null;
  if (path !== null) await rm(path, { force: true });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      path === null ? "127.0.0.1:0" : at,
      ServerCredentials.createInsecure(),
      (error, bound) => (error === null ? resolve(bound) : reject(error)),
    );
  });
  return {
    socket: path === null ? `tcp://127.0.0.1:${port}` : at,
    requests,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}

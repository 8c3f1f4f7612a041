import { rm } from "node:fs/promises";
import {
  Server,
  ServerCredentials,
  loadPackageDefinition,
  status,
  type ServerWritableStream,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { workloadApiProto } from "../workload-api-proto.ts";

type Stream = ServerWritableStream<unknown, unknown>;
type Method = "FetchX509Bundles" | "FetchJWTBundles" | "FetchX509SVID";

/** An agent's Workload API on a real socket, which tells what it is told to tell. */
export interface TestAgent extends AsyncDisposable {
  readonly socket: string;
  /** To the streams that are open, and first of all to each that opens. */
  tell(method: Method, message: object): void;
  /** Ends the open streams of a method with this code. */
  fail(method: Method, code: status): void;
  opened(method: Method): number;
}

/** At the path of a socket, or with `tcp` at a port of its own of this machine. */
export async function startTestAgent(at: string): Promise<TestAgent> {
  const messages = new Map<Method, object>();
  const streams = new Map<Method, Set<Stream>>();
  const counts = new Map<Method, number>();
  const handler = (method: Method) => (stream: Stream) => {
    if (stream.metadata.get("workload.spiffe.io").join() !== "true") {
      stream.emit("error", { code: status.INVALID_ARGUMENT, details: "security header missing" });
      return;
    }
    counts.set(method, (counts.get(method) ?? 0) + 1);
    const open = streams.get(method) ?? new Set();
    streams.set(method, open.add(stream));
    stream.on("cancelled", () => open.delete(stream));
    const message = messages.get(method);
    if (message !== undefined) stream.write(message);
  };
  const loaded = loadPackageDefinition(workloadApiProto());
  const { service } = loaded["SpiffeWorkloadAPI"] as ServiceClientConstructor;
  const server = new Server();
  server.addService(service, {
    FetchX509Bundles: handler("FetchX509Bundles"),
    FetchJWTBundles: handler("FetchJWTBundles"),
    FetchX509SVID: handler("FetchX509SVID"),
  });
  if (at !== "tcp") await rm(at, { force: true });
  const address = at === "tcp" ? "127.0.0.1:0" : `unix://${at}`;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    socket: at === "tcp" ? `tcp://127.0.0.1:${port}` : address,
    tell: (method, message) => {
      messages.set(method, message);
      for (const stream of streams.get(method) ?? []) stream.write(message);
    },
    fail: (method, code) => {
      for (const stream of streams.get(method) ?? []) {
        stream.emit("error", { code, details: "as the test wants it" });
      }
      streams.get(method)?.clear();
    },
    opened: (method) => counts.get(method) ?? 0,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}

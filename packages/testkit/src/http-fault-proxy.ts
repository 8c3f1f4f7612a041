import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";

/** What happens to one request on its way. */
export type HttpFault =
  /** Answered so, and never passed on: 429, 503. */
  | { readonly kind: "answer"; readonly status: number; readonly headers?: Record<string, string> }
  /** Passed on, and what comes back is replaced: the effect was there, the caller hears 500. */
  | { readonly kind: "replace"; readonly status: number; readonly headers?: Record<string, string> }
  /** Passed on; the connection is reset after the head and half of the body of the answer. */
  | { readonly kind: "reset_mid_answer" }
  /** Passed on; nothing comes back until the caller gives up. */
  | { readonly kind: "swallow" };

/** A relay of HTTP/1.1 between a backend and the API of its upstream, without TLS. */
export interface HttpFaultProxy {
  readonly port: number;
  /** What happens to each request from now on that the filter (default: any but GET) takes. */
  inject(fault: HttpFault, takes?: (method: string, path: string) => boolean): void;
  heal(): void;
  /** How many requests the fault has met since it was injected. */
  met(): number;
  stop(): Promise<void>;
}

export async function startHttpFaultProxy(target: {
  readonly host: string;
  readonly port: number;
}): Promise<HttpFaultProxy> {
  const now: {
    fault: HttpFault | null;
    takes: (method: string, path: string) => boolean;
    met: number;
  } = { fault: null, takes: () => false, met: 0 };
  const server = createServer((incoming, answer) => {
    const { method = "GET", url = "/" } = incoming;
    const fault = now.fault !== null && now.takes(method, url) ? now.fault : null;
    if (fault !== null) now.met++;
    if (fault?.kind === "answer") {
      incoming.resume();
      answer.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
      answer.end("{}");
      return;
    }
    relay(target, incoming, answer, fault);
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (typeof address === "object" && address !== null) resolve(address.port);
      else reject(new Error("the proxy has no port"));
    });
  });
  return {
    port,
    inject: (fault, takes = (method) => method !== "GET") => {
      Object.assign(now, { fault, takes, met: 0 });
    },
    heal: () => {
      now.fault = null;
    },
    met: () => now.met,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function relay(
  target: { readonly host: string; readonly port: number },
  incoming: IncomingMessage,
  answer: ServerResponse,
  fault: Exclude<HttpFault, { kind: "answer" }> | null,
): void {
  const onward = request(
    { ...target, method: incoming.method, path: incoming.url, headers: incoming.headers },
    (returned) => {
      switch (fault?.kind) {
        case "swallow":
          returned.resume();
          return;
        case "replace":
          returned.resume();
          answer.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
          answer.end("{}");
          return;
        case "reset_mid_answer":
          returned.resume();
          // A length that is never reached: the caller must not take half an answer for one.
          answer.writeHead(returned.statusCode ?? 200, {
            ...returned.headers,
            "content-length": 64,
          });
          answer.write("{", () => answer.socket?.resetAndDestroy());
          return;
        case undefined:
          answer.writeHead(returned.statusCode ?? 502, returned.headers);
          returned.pipe(answer);
      }
    },
  );
  onward.on("error", () => answer.destroy());
  answer.on("close", () => onward.destroy());
  incoming.pipe(onward);
}

import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How a published document is served wrongly. `hang` answers nothing until the server closes. */
export type ServeFailure = "status" | "hang" | "not_json" | "huge" | "redirect" | "reset";

export interface DocumentServer {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  /** Requests for each path so far, failed ones included. */
  requests(path: string): number;
  /** Every request fails so from now on; null: none does. */
  fail(failure: ServeFailure | null): void;
  close(): Promise<void>;
}
export interface PublishedDocument {
  readonly body: unknown;
  /** Seconds of `Cache-Control: max-age`, or null for no such header. */
  readonly maxAgeSeconds: number | null;
}

/** A real HTTP server on a free loopback port that serves JSON documents and can misbehave. */
export async function startDocumentServer(
  documents: (path: string) => PublishedDocument | null,
): Promise<DocumentServer> {
  const counts = new Map<string, number>();
  let failure: ServeFailure | null = null;
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    counts.set(path, (counts.get(path) ?? 0) + 1);
    if (failure === null) answer(response, documents(path));
    else misbehave(response, failure);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    // An HTTP server that listens on a port has one.
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: (path) => counts.get(path) ?? 0,
    fail: (next) => {
      failure = next;
    },
    close: () => close(server),
  };
}

function answer(response: ServerResponse, document: PublishedDocument | null): void {
  if (document === null) {
    response.writeHead(404).end();
    return;
  }
  response.setHeader("content-type", "application/json");
  if (document.maxAgeSeconds !== null) {
    response.setHeader("cache-control", `public, max-age=${document.maxAgeSeconds}`);
  }
  response.end(JSON.stringify(document.body));
}

function misbehave(response: ServerResponse, failure: ServeFailure): void {
  switch (failure) {
    case "status":
      response.writeHead(500).end("{}");
      return;
    case "not_json":
      response.end("<html>");
      return;
    case "huge":
      response.end(`"${" ".repeat(2 * 1024 * 1024)}"`);
      return;
    case "redirect":
      response.writeHead(302, { location: "http://127.0.0.1:1/keys" }).end();
      return;
    case "reset":
      response.destroy();
      return;
    case "hang":
      return;
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.closeAllConnections();
    server.close(() => resolve());
  });
}

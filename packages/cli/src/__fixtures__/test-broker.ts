import { createServer, type Server } from "node:http";
import type { Json } from "@mayfly/spec";
import { problem } from "./broker-answers.ts";

export interface Answer {
  readonly status?: number;
  readonly body: Json;
}
export interface Request {
  readonly call: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

/** Answers as the broker's routes do: by method and path, whatever the query. */
export class TestBroker {
  readonly requests: Request[] = [];
  /** `If-Match` or `If-None-Match` of each request, in their order. */
  readonly preconditions: string[] = [];
  readonly answers = new Map<string, Answer | ((url: URL) => Answer)>();
  readonly #server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const url = new URL(request.url ?? "/", "http://broker");
      const text = Buffer.concat(chunks).toString();
      const body: unknown = text === "" ? null : JSON.parse(text);
      const call = `${request.method} ${url.pathname}`;
      const { authorization } = request.headers;
      this.requests.push({ call: `${call}${url.search}`, authorization, body });
      const { "if-match": match, "if-none-match": none } = request.headers;
      this.preconditions.push(match ?? (none === undefined ? "" : `none ${none}`));
      const found = this.answers.get(call) ?? problem(404, "not_found");
      const answer = typeof found === "function" ? found(url) : found;
      response.writeHead(answer.status ?? 200, { "content-type": "application/json" });
      response.end(answer.body === null ? undefined : JSON.stringify(answer.body));
    });
  });
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    return typeof address === "object" && address !== null
      ? `http://127.0.0.1:${address.port}`
      : "";
  }
  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

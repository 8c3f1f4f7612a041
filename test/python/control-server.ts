import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the tests in Python ask of the harness: identity tokens, and trouble for the broker. */
export interface Controls {
  /** A token of `spiffe://<domain>/agent/<agent>`. */
  readonly token: (agent: string, domain: string, seconds: number) => string;
  /** Stops the broker's process where it stands, and lets it go on. */
  readonly freeze: () => Promise<void>;
  readonly thaw: () => void;
  /** How many roles of Mayfly's the customer's server has, by its superuser. */
  readonly roles: () => Promise<readonly string[]>;
}

export interface ControlServer extends AsyncDisposable {
  readonly url: string;
}

export async function startControlServer(controls: Controls): Promise<ControlServer> {
  const server = createServer((request, response) => {
    answer(controls, request).then(
      (body) => end(response, 200, body),
      (error: unknown) => end(response, 500, { error: String(error) }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // It listens on TCP, so it has an address of that kind.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function answer(controls: Controls, request: IncomingMessage): Promise<unknown> {
  const url = new URL(request.url ?? "/", "http://control");
  const given = (name: string, otherwise: string): string =>
    url.searchParams.get(name) ?? otherwise;
  switch (url.pathname) {
    case "/token": {
      const seconds = Number(given("seconds", "300"));
      return { token: controls.token(given("agent", "bee"), given("domain", ""), seconds) };
    }
    case "/freeze":
      await controls.freeze();
      return {};
    case "/thaw":
      controls.thaw();
      return {};
    case "/roles":
      return { roles: await controls.roles() };
    default:
      throw new Error(`there is nothing at ${url.pathname}`);
  }
}

function end(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

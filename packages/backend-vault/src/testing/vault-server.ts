import { startOpenbao } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import type { ApiRequest } from "@mayfly/spec";

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** A Vault as tests drive it: OpenBao itself, or the fake of its API. */
export interface VaultServer {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** As anybody who holds the token; whatever the status is. */
  as(
    token: string,
    method: ApiRequest["method"],
    path: string,
    body?: object,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
  /** As who may do everything; whatever the status is. */
  asRoot(method: ApiRequest["method"], path: string, body?: object): Promise<Answer>;
  /** As who may do everything, which must succeed; answers the body. */
  api(method: ApiRequest["method"], path: string, body?: object): Promise<unknown>;
  stop(): Promise<void>;
}

export async function startRealVault(): Promise<VaultServer> {
  const server = await startOpenbao();
  if (server.missing !== undefined) throw new TypeError(`${server.missing} is missing`);
  const { host, port, rootToken } = server;
  return { host, port, ...driving({ port, rootToken }), stop: () => server.stop() };
}

export function driving({
  port,
  rootToken,
}: {
  readonly port: number;
  readonly rootToken: string;
}): Pick<VaultServer, "as" | "asRoot" | "api"> {
  const opened = createOutboundApis().open({
    origin: `http://127.0.0.1:${port}`,
    tls: false,
    connections: 8,
    timeoutMs: 20_000,
    maxBytes: 64 * 1024 * 1024,
  });
  const context = { clock: systemClock, signal: new AbortController().signal, traceId: "test" };
  const as: VaultServer["as"] = async (token, method, path, body, headers = {}) => {
    const outcome = await opened.send(
      {
        method,
        path: `/v1/${path}`,
        headers: { "x-vault-token": token, "content-type": "application/json", ...headers },
        body: body === undefined ? null : JSON.stringify(body),
      },
      context,
    );
    if (outcome.kind !== "answer") throw new Error(`${method} ${path}: ${outcome.why}`);
    const { status, text } = outcome;
    return { status, body: text === "" ? null : (JSON.parse(text) as unknown) };
  };
  const asRoot: VaultServer["asRoot"] = (method, path, body) => as(rootToken, method, path, body);
  return {
    as,
    asRoot,
    api: async (method, path, body) => {
      const answer = await asRoot(method, path, body);
      if (answer.status >= 300) {
        throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      }
      return answer.body;
    },
  };
}

/** A plain HTTP client of the broker: what curl would send, and nothing else. */
export interface BrokerClient {
  /** Administration, with the bootstrap token. */
  admin(method: "GET" | "PUT" | "POST", path: string, body?: unknown): Promise<JsonReply>;
  /** A token exchange with a workload's JWT as subject. */
  exchange(jwt: string, details: unknown): Promise<JsonReply>;
  /** A call with a task token. */
  task(token: string, method: "GET" | "POST", path: string, body?: unknown): Promise<JsonReply>;
}

export interface JsonReply {
  readonly status: number;
  /** The parsed body; members are read with the `read*` functions, which say what is missing. */
  readonly body: unknown;
}

const CALL_MS_MAX = 90_000;

export function createBrokerClient(url: string, adminToken: string): BrokerClient {
  const send = async (path: string, init: RequestInit): Promise<JsonReply> => {
    const response = await fetch(`${url}${path}`, {
      ...init,
      signal: AbortSignal.timeout(CALL_MS_MAX),
    });
    const text = await response.text();
    const body: unknown = text === "" ? null : JSON.parse(text);
    return { status: response.status, body };
  };
  const json = (method: string, token: string, body: unknown): RequestInit => ({
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return {
    admin: (method, path, body) => send(path, json(method, adminToken, body)),
    task: (token, method, path, body) => send(path, json(method, token, body)),
    exchange: (jwt, details) =>
      send("/token", {
        method: "POST",
        body: new URLSearchParams({
          grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
          subject_token: jwt,
          subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
          authorization_details: JSON.stringify([details]),
        }),
      }),
  };
}

/** The value at a path of member names and indices; throws with the path where there is none. */
export function readAt(value: unknown, ...path: readonly (string | number)[]): unknown {
  let here: unknown = value;
  for (const step of path) {
    if (typeof here !== "object" || here === null || !(step in here)) {
      throw new Error(
        `the reply has no ${path.join(".")}: ${JSON.stringify(value)?.slice(0, 400)}`,
      );
    }
    here = Object.entries(here).find(([name]) => name === String(step))?.[1];
  }
  return here;
}

export function readText(value: unknown, ...path: readonly (string | number)[]): string {
  const found = readAt(value, ...path);
  if (typeof found !== "string") throw new Error(`the reply's ${path.join(".")} is not text`);
  return found;
}

export function readList(
  value: unknown,
  ...path: readonly (string | number)[]
): readonly unknown[] {
  const found = readAt(value, ...path);
  if (!Array.isArray(found)) throw new Error(`the reply's ${path.join(".")} is not a list`);
  return found;
}

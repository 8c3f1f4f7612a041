/** A plain HTTP client of one broker process. */
export interface BrokerApi {
  readonly url: string;
  /** `POST /token`. Rejects with {@link ConnectionLost} when no reply came. */
  exchange(exchange: Exchange): Promise<Reply>;
  /** A form, as OAuth's endpoints take it, to any path. */
  form(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Reply>;
  /** Any other call, with a task token, the administrator's, or a workload's own token. */
  call(token: string, method: Method, path: string, body?: unknown): Promise<Reply>;
  /** As the bootstrap administrator. */
  admin(method: Method, path: string, body?: unknown): Promise<Reply>;
}
export type Method = "GET" | "PUT" | "POST" | "DELETE";

export interface Exchange {
  /** A JWT of a workload, or with `isTaskToken` a task token of ours. */
  readonly subject: string;
  readonly isTaskToken?: boolean;
  readonly actor?: string;
  /** The one object of `authorization_details`. */
  readonly details: unknown;
  readonly idempotencyKey?: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Null where the text is no JSON. */
  readonly body: unknown;
}

/** The other side went away, or never answered: what happens to a client of a killed broker. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

const CALL_MS_MAX = 90_000;
const TYPE = "urn:ietf:params:oauth:token-type:";

export function createBrokerApi(url: string, adminToken: string): BrokerApi {
  const call: BrokerApi["call"] = (token, method, path, body) =>
    send(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const form: BrokerApi["form"] = (path, fields, headers = {}) =>
    send(`${url}${path}`, { method: "POST", headers, body: new URLSearchParams(fields) });
  return {
    url,
    call,
    form,
    admin: (method, path, body) => call(adminToken, method, path, body),
    exchange: ({ subject, isTaskToken, actor, details, idempotencyKey }) =>
      form(
        "/token",
        {
          grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
          subject_token: subject,
          subject_token_type: `${TYPE}${isTaskToken === true ? "access_token" : "jwt"}`,
          ...(actor === undefined ? {} : { actor_token: actor, actor_token_type: `${TYPE}jwt` }),
          authorization_details: JSON.stringify([details]),
        },
        idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey },
      ),
  };
}

async function send(url: string, init: RequestInit): Promise<Reply> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(CALL_MS_MAX) });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: parsed(text) };
  } catch (cause) {
    throw new ConnectionLost(`${init.method ?? "GET"} ${url}: no reply`, { cause });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** The value at a path of names and indices; throws with the whole reply where there is none. */
export function at(reply: Pick<Reply, "status" | "body">, ...path: readonly (string | number)[]) {
  let here: unknown = reply.body;
  for (const step of path) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, step)) {
      throw new Error(
        `no ${path.join(".")} in the reply ${reply.status}: ${JSON.stringify(reply.body)}`,
      );
    }
    here = Reflect.get(here, step) as unknown;
  }
  return here;
}

export function textAt(
  reply: Pick<Reply, "status" | "body">,
  ...path: readonly (string | number)[]
): string {
  const found = at(reply, ...path);
  if (typeof found === "string") return found;
  throw new Error(`${path.join(".")} of the reply ${reply.status} is no text`);
}

export function listAt(
  reply: Pick<Reply, "status" | "body">,
  ...path: readonly (string | number)[]
): readonly unknown[] {
  const found = at(reply, ...path);
  if (Array.isArray(found)) return found;
  throw new Error(`${path.join(".")} of the reply ${reply.status} is no list`);
}

/** The task and the first credential that a token reply of status 200 carries. */
export interface Granted {
  readonly taskId: string;
  readonly taskToken: string;
  readonly lease: string;
  readonly credential: Credential;
}
export interface Credential {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly username: string;
  readonly password: string;
}

export function grantedOf(reply: Reply): Granted {
  if (reply.status !== 200) throw new Error(`the exchange was answered ${reply.text}`);
  const data = (name: string): string => textAt(reply, "credentials", 0, "data", name);
  return {
    taskId: textAt(reply, "task", "id"),
    taskToken: textAt(reply, "access_token"),
    lease: textAt(reply, "credentials", 0, "lease"),
    credential: {
      host: data("host"),
      port: Number(at(reply, "credentials", 0, "data", "port")),
      database: data("database"),
      username: data("username"),
      password: data("password"),
    },
  };
}

/** The broker's own code of a refusal. */
export const codeOf = (reply: Reply): string => textAt(reply, "code");

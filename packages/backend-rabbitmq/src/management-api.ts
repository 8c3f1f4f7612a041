import { apiOrigin, serverTls } from "@mayfly/backend-kit";
import {
  parseShallowJson,
  type ApiOutcome,
  type BackendHost,
  type CallContext,
  type OutboundApi,
} from "@mayfly/spec";
import { z } from "zod";
import { RabbitFailure } from "./rabbit-failure.ts";
import type { ServerSettings } from "./server-settings.ts";

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface ApiCall {
  readonly body?: object;
  /** Statuses beside 2xx that are an answer and no failure. */
  readonly also?: readonly number[];
  /** Runs at the moment at which the request leaves, and may throw: then nothing leaves. */
  readonly beforeSend?: () => void;
}

/** What a listing of users and their tags comes to; a user is some 200 bytes of it. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

/** The HTTP API of the management plugin (https://www.rabbitmq.com/docs/http-api-reference). */
export class ManagementApi {
  readonly #api: OutboundApi;
  readonly #authorizations: readonly string[];
  /** While the broker's own password changes: which of both was accepted last. */
  #turn = 0;

  constructor(settings: ServerSettings, host: BackendHost, slots: number) {
    const { username, password, previous_password: previous } = settings;
    const { call_seconds_max: seconds } = settings;
    const tls = serverTls(settings, settings.host);
    this.#authorizations = [password, ...(previous === undefined ? [] : [previous])].map(
      (each) => `Basic ${Buffer.from(`${username}:${each}`).toString("base64")}`,
    );
    this.#api = host.apis.open({
      origin: apiOrigin(settings, tls),
      tls,
      connections: slots,
      timeoutMs: seconds * 1_000,
      maxBytes: ANSWER_BYTES_MAX,
    });
  }

  /** `path` begins with `/api/`; each variable part of it is encoded by the caller. */
  async call(
    method: "GET" | "PUT" | "DELETE",
    path: string,
    context: CallContext,
    call: ApiCall = {},
  ): Promise<ApiAnswer> {
    let outcome = await this.#send(method, path, context, call);
    if (outcome.kind === "answer" && outcome.status === 401 && this.#authorizations.length > 1) {
      // Refused before anything was done.
      this.#turn = 1 - this.#turn;
      outcome = await this.#send(method, path, context, call);
    }
    if (outcome.kind !== "answer") throw new RabbitFailure(outcome.kind, outcome.why);
    const { status, text, headers } = outcome;
    return answered(status, text, headers["retry-after"], call.also ?? []);
  }

  #send(
    method: "GET" | "PUT" | "DELETE",
    path: string,
    context: CallContext,
    { body, beforeSend = () => undefined }: ApiCall,
  ): Promise<ApiOutcome> {
    return this.#api.send(
      {
        method,
        path,
        headers: {
          authorization: this.#authorizations[this.#turn] ?? "",
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        beforeSend,
      },
      context,
    );
  }

  close(): Promise<void> {
    return this.#api.close();
  }
}

function answered(
  status: number,
  text: string,
  retryAfter: string | undefined,
  also: readonly number[],
): ApiAnswer {
  if ((status >= 200 && status < 300) || also.includes(status)) {
    return { status, body: text === "" || status >= 300 ? null : readJson(text) };
  }
  const seconds = z.coerce.number().int().min(1).max(3_600).safeParse(retryAfter);
  const more = { status, retryAfterSeconds: seconds.success ? seconds.data : null };
  if (status === 429) throw new RabbitFailure("busy", "too many requests", more);
  const kind = status >= 400 && status < 500 ? "refused" : "lost";
  throw new RabbitFailure(kind, reasonIn(text), more);
}

function readJson(text: string): unknown {
  try {
    return parseShallowJson(text);
  } catch {
    // The parser's message quotes the answer.
    throw new RabbitFailure("lost", "the answer is no JSON");
  }
}

const reason = z.object({ reason: z.string().max(200) });

/** A word or two about names; what is longer may quote a request. */
function reasonIn(text: string): string {
  try {
    return reason.parse(parseShallowJson(text)).reason;
  } catch {
    return "no reason was given";
  }
}

import { apiOrigin, serverTls } from "@mayfly/backend-kit";
import {
  parseShallowJson,
  type BackendHost,
  type CallContext,
  type OutboundApi,
  type Secret,
} from "@mayfly/spec";
import { z } from "zod";
import type { ServerSettings } from "./server-settings.ts";
import { VaultFailure, failureOfAnswer } from "./vault-failure.ts";

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface ApiCall {
  readonly body?: object;
  /** Statuses beside 2xx that are an answer and no failure. */
  readonly also?: readonly number[];
  /** The answer is kept by the server for so long, and a token that reads it once comes instead. */
  readonly wrapSeconds?: number;
  /** Outside the namespace: of the server itself. */
  readonly atRoot?: true;
  /** Runs at the moment at which the request leaves, and may throw: then nothing leaves. */
  readonly beforeSend?: () => void;
}

export type ApiMethod = "GET" | "POST" | "DELETE";

/** What a listing of 200,000 leases comes to. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

/**
 * The HTTP API, version 1 (https://openbao.org/api-docs/, https://developer.hashicorp.com/vault/api-docs).
 * Lists are asked for by `GET …?list=true`, which is the same as its own method LIST.
 */
export class VaultApi {
  readonly #api: OutboundApi;
  readonly #namespace: string | undefined;

  constructor(settings: ServerSettings, host: BackendHost, slots: number) {
    const tls = serverTls(settings, settings.host);
    this.#namespace = settings.namespace;
    this.#api = host.apis.open({
      origin: apiOrigin(settings, tls),
      tls,
      connections: slots,
      timeoutMs: settings.call_seconds_max * 1_000,
      maxBytes: ANSWER_BYTES_MAX,
    });
  }

  /** `path` comes after `/v1/`; each variable part of it is encoded, or of a checked form. */
  async call(
    method: ApiMethod,
    path: string,
    token: Secret | null,
    context: CallContext,
    { body, also = [], wrapSeconds, atRoot, beforeSend = () => undefined }: ApiCall = {},
  ): Promise<ApiAnswer> {
    const namespace = atRoot === true ? undefined : this.#namespace;
    const outcome = await this.#api.send(
      {
        method,
        path: `/v1/${path}`,
        headers: {
          accept: "application/json",
          // Refused where it is missing by a proxy that guards against requests of others' making.
          "x-vault-request": "true",
          ...(token === null ? {} : { "x-vault-token": token.expose("upstream") }),
          ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
          ...(wrapSeconds === undefined ? {} : { "x-vault-wrap-ttl": `${wrapSeconds}s` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        beforeSend,
      },
      context,
    );
    if (outcome.kind !== "answer") throw new VaultFailure(outcome.kind, outcome.why);
    const { status, text, headers } = outcome;
    if ((status >= 200 && status < 300) || also.includes(status)) {
      const body = text === "" ? null : readJson(text);
      // Of what is not there the server says no word: any other 404 may be somebody else's.
      if (status === 404 && !isPlainlyAbsent(body)) throw failureOfAnswer(404, null, false);
      return { status, body };
    }
    const seconds = z.coerce.number().int().min(1).max(3_600).safeParse(headers["retry-after"]);
    throw failureOfAnswer(status, seconds.success ? seconds.data : null, isSealed(status, text));
  }

  close(): Promise<void> {
    return this.#api.close();
  }
}

function readJson(text: string): unknown {
  try {
    return parseShallowJson(text);
  } catch {
    // The parser's message quotes the answer.
    throw new VaultFailure("lost", "the answer is no JSON");
  }
}

const errors = z.object({ errors: z.array(z.string()) });

/** The server's own words, to look for known ones in: never to show, see `failureOfAnswer`. */
export function saidIn(body: unknown): string {
  const parsed = errors.safeParse(body);
  return parsed.success ? parsed.data.errors.join(" ") : "";
}

function isPlainlyAbsent(body: unknown): boolean {
  const parsed = errors.safeParse(body);
  return parsed.success && parsed.data.errors.length === 0;
}

const isSealed = (status: number, text: string): boolean =>
  status === 503 && /^\{"errors":\["Vault is sealed"\]\}\s*$/.test(text);

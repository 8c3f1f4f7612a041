import type { CallContext } from "./context.ts";

/** HTTP to upstreams' own APIs, which administrators configure. Port of `net`. */
export interface OutboundApis {
  /** Makes no connection before the first request. */
  open(target: ApiTarget): OutboundApi;
}

/** Where an API is, on whatever network: an administrator said so, no token and no agent. */
export interface ApiTarget {
  /** Scheme, host and port: `https://rabbit.internal:15671`. */
  readonly origin: string;
  /** What Node's `tls.connect` takes of it; false where the origin is not https. */
  readonly tls: { readonly rejectUnauthorized: boolean; readonly ca?: string } | false;
  /** Requests under way at once; others wait. */
  readonly connections: number;
  /** Of one request, from its turn to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Of one answer. */
  readonly maxBytes: number;
}

export interface OutboundApi {
  /**
   * Sends a request once: no redirect is followed, and nothing that may have left is sent again.
   * Rejects only with what `beforeSend` throws; all else is told by the {@link ApiOutcome}.
   */
  send(request: ApiRequest, context: CallContext): Promise<ApiOutcome>;
  /** What is under way ends as `lost`. */
  close(): Promise<void>;
}

export interface ApiRequest {
  readonly method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  /** Begins with a slash; its variable parts are encoded. */
  readonly path: string;
  /** Names in lowercase. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /**
   * Runs when a connection is there and the request is about to be written to it. If it throws,
   * nothing is written: a deadline is tested here, whatever the request had to wait for.
   */
  readonly beforeSend?: () => void;
}

export type ApiOutcome =
  | {
      readonly kind: "answer";
      readonly status: number;
      /** Names in lowercase; of a repeated one the first. */
      readonly headers: Readonly<Record<string, string>>;
      readonly text: string;
    }
  /** No byte of it was written. `why` holds no part of the request. */
  | { readonly kind: "not_sent"; readonly why: string }
  /** Written at least in part, and not answered in whole: anything may have happened. */
  | { readonly kind: "lost"; readonly why: string };
